"""A zip from anywhere: what is in it, read without trusting it."""

from __future__ import annotations

import re
import stat
import zipfile
from pathlib import Path, PurePosixPath

from convrnns_brainscore.submission.findings import Findings

MOST_FILES = 2_000
MOST_BYTES = 50_000_000
"""Of all files, unpacked."""

LARGEST = 5_000_000
"""Bytes of one file: weights are fetched, not packed."""

MOST_COMPRESSED = 200
"""Times smaller than its content: beyond this it is a zip bomb."""

LONGEST, DEEPEST = 240, 20
"""Characters of a path, and its folders."""

_NAME = re.compile(r"[A-Za-z0-9_.+=@-]*[A-Za-z0-9_+=@-]")  # the server parts names at blanks

UNTIDY = {
    "__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", "__pycache__", ".git", ".gitignore",
    ".gitattributes", ".venv", "venv",
    ".ipynb_checkpoints", ".idea", ".vscode", ".pytest_cache", ".mypy_cache", ".ruff_cache",
}  # fmt: skip
"""Names of files and folders that a machine leaves behind."""


def read_archive(path: Path, findings: Findings) -> dict[str, bytes]:
    """The files of a zip, path → content, without what is only untidy.

    Nothing is written. Where something would be unsafe to unpack, nothing is returned.
    """
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # of zipfile's many
        findings.fail("zip", f"{path} is not a zip file ({error}): build it again.")
        return {}
    with archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        if not entries:
            findings.fail("zip", "it holds no files.")
            return {}
        problems = [*_limits(entries), *(p for e in archive.infolist() if (p := _unsafe(e)))]
        problems += _alike([entry.filename for entry in entries])
        for problem in problems:
            findings.fail("zip", problem)
        if problems:
            return {}
        untidy = [
            entry
            for entry in entries
            if UNTIDY & set(PurePosixPath(entry.filename).parts) or entry.filename.endswith(".pyc")
        ]
        if untidy:
            names = ", ".join(entry.filename for entry in untidy[:3])
            findings.note("zip", f"{len(untidy)} unnecessary files, such as {names}.")
        files = {}
        for entry in entries:
            if entry in untidy:
                continue
            try:
                with archive.open(entry) as opened:
                    # The size that it declares may be a lie.
                    content = opened.read(LARGEST + 1)
            except Exception as error:  # of zipfile's, zlib's, lzma's …
                findings.fail("zip", f"{entry.filename} is damaged ({error}): build it again.")
                return {}
            if len(content) > LARGEST:
                findings.fail("zip", f"{entry.filename} holds more than the zip declares.")
                return {}
            files[PurePosixPath(entry.filename).as_posix()] = content
    findings.passed("zip", f"{len(files)} files, {sum(map(len, files.values())) / 1e3:.0f} kB")
    return files


def unpack(files: dict[str, bytes], folder: Path) -> None:
    """Write the files that `read_archive` found below ``folder``."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _limits(entries: list[zipfile.ZipInfo]) -> list[str]:
    problems = []
    if len(entries) > MOST_FILES:
        problems.append(f"{len(entries)} files; at most {MOST_FILES} are accepted.")
    total = sum(entry.file_size for entry in entries)
    if total > MOST_BYTES:
        problems.append(
            f"{total / 1e6:.0f} MB unpacked; at most {MOST_BYTES / 1e6:.0f} are accepted."
        )
    for entry in entries:
        if entry.file_size > LARGEST:
            problems.append(
                f"{entry.filename} has {entry.file_size / 1e6:.0f} MB; at most "
                f"{LARGEST / 1e6:.0f} are accepted. Weights are fetched when a model is loaded."
            )
        if entry.file_size > MOST_COMPRESSED * max(entry.compress_size, 1):
            problems.append(
                f"{entry.filename} looks like a zip bomb: it unpacks to more than "
                f"{MOST_COMPRESSED} times its size."
            )
    return problems


def _unsafe(entry: zipfile.ZipInfo) -> str:
    """Why an entry must not be unpacked, or nothing."""
    name = entry.orig_filename
    parts = PurePosixPath(name).parts
    if not parts:
        return f"{name!r} is not a valid file name."
    if name.startswith(("/", "~")) or "\\" in name or (parts and parts[0].endswith(":")):
        return f"{name!r} is an absolute or a Windows path: use relative paths with '/'."
    if ".." in parts:
        return f"{name!r} points outside the folder."
    if any(ord(character) < 32 for character in name):
        return f"{name!r} has control characters in its name."
    if not all(_NAME.fullmatch(part) for part in parts):
        return (
            f"{name!r}: names may contain only letters (A–Z, a–z), digits and '_.+-=@', and must "
            "not end with '.'."
        )
    if len(name) > LONGEST or len(parts) > DEEPEST:
        return f"{name[:60]!r}… is longer than {LONGEST} characters, or {DEEPEST} folders deep."
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return f"{name!r} is a link or a special file: pack a plain file instead."
    if entry.flag_bits & 0x1:
        return f"{name!r} is encrypted."
    return ""


def _alike(names: list[str]) -> list[str]:
    """Names that are there twice, would be one file where case doesn't count, or are a file and a
    folder."""
    seen: dict[str, str] = {}
    problems = []
    for name in names:
        key = PurePosixPath(name).as_posix().casefold()
        if key in seen:
            twice = f"{name} occurs twice."
            alike = f"{name} and {seen[key]} would be one file on some systems."
            problems.append(twice if seen[key] == name else alike)
        seen[key] = name
    for key, name in seen.items():
        both = [str(above) for above in PurePosixPath(key).parents if str(above) in seen]
        problems += [
            f"{seen[above]} is a file and at the same time the folder of {name}." for above in both
        ]
    return problems
