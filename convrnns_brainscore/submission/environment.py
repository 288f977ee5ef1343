"""A fresh environment, as the server makes one for each plugin."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.requirements import requirements

MARK = ".convrnns_submission"
"""In an environment that is ours: we may remove it."""

PACKAGES = ".convrnns_packages"
"""In one that was made to its end: what it held then, as ``pip freeze`` says it."""

MINUTES = 60
"""After which a step is given up."""


@dataclass(frozen=True)
class Told:
    """What a program printed, and whether it ended well."""

    ok: bool
    text: str

    @property
    def last_line(self) -> str:
        """The last line that says anything."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return lines[-1] if lines else "it printed nothing"


@dataclass(frozen=True)
class Environment:
    """A virtual environment with Brain-Score in it.

    Attributes
    ----------
    folder : path
        Folder of the environment.
    """

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def brain_score(self) -> Path:
        """Where Brain-Score is installed in it."""
        (found,) = self.folder.glob("lib/python3*/site-packages/brainscore_vision")
        return found

    def run(self, *arguments: str | Path, **variables: str) -> Told:
        """Run its Python from the root folder, with more environment variables."""
        # Nothing of the caller's environment: no PYTHONPATH, and its programs last. And nothing
        # that `restore` would not know of: pytest's own .pyc would outlive a package.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
        }
        environment |= {"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "1000"}
        # Weights are served from this machine, which no proxy reaches.
        direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
        if direct != "*":
            direct = ",".join(filter(None, [direct, "127.0.0.1"]))
        environment |= {"no_proxy": direct, "NO_PROXY": direct}
        environment["PATH"] = f"{self.folder / 'bin'}:{os.environ.get('PATH', '')}"
        try:
            ended = subprocess.run(
                [self.python, *map(str, arguments)],
                cwd="/",
                env={**environment, **variables},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60 * MINUTES,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            so_far = error.output or ""
            text = so_far.decode("utf-8", "replace") if isinstance(so_far, bytes) else so_far
            return Told(False, f"{text}\nit took more than {MINUTES} minutes")
        return Told(ended.returncode == 0, ended.stdout)

    def install(self, *arguments: str | Path) -> Told:
        """Install packages by pip, as the server does."""
        return self.run("-m", "pip", "install", "-q", *arguments)

    def conflicts(self) -> list[str]:
        """What Brain-Score needs and does not have any more, in pip's words."""
        told = self.run("-m", "pip", "check")
        return [line for line in told.text.splitlines() if line.startswith("brainscore")]

    def packages(self) -> list[str]:
        """All that is installed, ``name==version``."""
        return self.run("-m", "pip", "freeze", "--all").text.splitlines()

    def restore(self) -> None:
        """Take away what a plugin brought, and bring back what it replaced."""
        kept = (self.folder / PACKAGES).read_text(encoding="utf-8").splitlines()
        now = self.packages()
        names = {line.partition("==")[0] for line in kept}
        extra = [name for line in now if (name := line.partition("==")[0]) not in names]
        if extra:
            self.run("-m", "pip", "uninstall", "-q", "-y", *extra)
        replaced = sorted(set(kept) - set(now))
        if replaced:
            self.install("--no-deps", *replaced)


def make_environment(folder: Path) -> Environment:
    """A new environment, or the one that was made in ``folder`` before.

    Raises
    ------
    ConvRNNError
        It cannot be made, or ``folder`` holds something else.
    """
    environment = Environment(folder.absolute())
    ours = (folder / MARK).exists()
    if ours and (folder / PACKAGES).exists():
        environment.restore()
        return environment
    if folder.exists() and not ours and (not folder.is_dir() or any(folder.iterdir())):
        raise ConvRNNError(
            f"{folder} exists and is not an environment that this check made: name another "
            "`environment=…`."
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()
    made = subprocess.run(
        [sys.executable, "-m", "venv", folder], capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise ConvRNNError(f"cannot make an environment in {folder}: {made.stderr.strip()}")
    for packages in (["-U", "pip", "setuptools"], [brain_score_requirement()]):
        told = environment.install(*packages)
        if not told.ok:
            raise ConvRNNError(f"cannot install {packages[-1]} in {folder}: {told.last_line}")
    _add_generic_images(environment.brain_score)
    (folder / PACKAGES).write_text("\n".join(environment.packages()), encoding="utf-8")
    return environment


def brain_score_requirement() -> str:
    """Brain-Score with its tests, as the server installs it, in the bounds of this package."""
    return f"brainscore-vision[test]{requirements()['brainscore-vision'].specifier}"


def _add_generic_images(brain_score: Path) -> None:
    """The images of Brain-Score's generic tests, which its wheel leaves out."""
    folder = brain_score / "model_helpers" / "generic_plugin_tests_resources"
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(("rgb1.jpg", "rgb2.jpg", "rgb3.png")):
        if not (folder / name).exists():
            Image.new("RGB", (64, 64), (90 * number, 100, 200)).save(folder / name)
