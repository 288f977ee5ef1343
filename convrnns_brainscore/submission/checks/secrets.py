"""No keys, tokens or passwords: submissions are public."""

from __future__ import annotations

import re
from pathlib import Path

from convrnns_brainscore.submission.build import SIGNED
from convrnns_brainscore.submission.checks.files import SETTINGS_FILES
from convrnns_brainscore.submission.findings import Check
from convrnns_brainscore.submission.plugin import Plugin

NAME = "secrets"

# All repetitions are bounded, and possessive where what follows cannot take back from them, so that
# the time is linear in the text's length.
SECRETS = {
    "a private key": r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----",
    "an AWS key": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\b(gh[pousr]_[A-Za-z0-9]{36,40}|github_pat_\w{40,80})",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{30,60}+\b",
    "an API key": r"\bsk-[A-Za-z0-9_-]{32,40}",
    "a password in an address": r"\b[a-z]{1,20}+://[^/\s:@'\"]{1,200}+:[^/\s:@'\"]{1,200}+@",
    "a Slack token": r"\bxox[abprs]-[A-Za-z0-9-]{10}",
    "a Google key": r"\bAIza[0-9A-Za-z_-]{35}",
    "a signed address": SIGNED,
}

_SECRET = (
    r"(?i)(password|passwd|secret|api_?key|(access|auth|api|bearer)_?token)\w{0,40}+['\"]?"
    r"\s{0,20}+[:=]\s{0,20}+"
)
IN_CODE = _SECRET + r"""['"][^'"\s]{8,400}+['"]"""
IN_SETTINGS = _SECRET + r"""['"]?[^'"\s$<{][^'"\s]{7}"""
"""A password, where code or settings name one."""


def run(plugin: Plugin, _: Path, check: Check) -> str:
    """No keys, tokens or passwords."""
    for path, content in plugin.files.items():
        text = content.decode("utf-8", "replace")
        named = IN_SETTINGS if path.endswith(SETTINGS_FILES) else IN_CODE
        for what, pattern in {**SECRETS, "a password": named}.items():
            found = re.search(pattern, text)
            if found:
                line = text.count("\n", 0, found.start()) + 1
                check.fail(
                    f"models/{plugin.name}/{path}:{line} has {what}: submissions are public. "
                    "Remove it, and revoke it.",
                )
    return "none found"
