"""An installation that is not whole is told of, whatever it breaks."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from convrnns_brainscore import doctor, requirements
from convrnns_brainscore.checkpoints import write_safetensors

CLI = [sys.executable, "-m", "convrnns_brainscore.cli"]


def pretend(folder: Path, package: str, version: str, module: str = "") -> dict[str, str]:
    """An environment in which ``package`` has another version, and its module says so."""
    about = folder / f"{package}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    if module:
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text(module)
    return {**os.environ, "PYTHONPATH": str(folder)}


def run(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_this_installation_fits() -> None:
    assert requirements.misfits() == []
    assert all(not line.cure for line in doctor.versions())


def test_a_package_out_of_bounds_comes_with_the_line_that_mends_it(monkeypatch) -> None:
    version = metadata.version
    monkeypatch.setattr(
        requirements, "version", lambda name: "2.4.6" if name == "numpy" else version(name)
    )
    (misfit,) = requirements.misfits()
    assert misfit.package == "numpy"
    assert "numpy 2.4.6 is out of bounds" in str(misfit)
    assert misfit.cure.startswith('pip install "numpy')
    assert "<2" in misfit.cure
    (line,) = (line for line in doctor.versions() if line.cure)
    assert line.name == "numpy"


def test_a_missing_package_is_a_misfit(monkeypatch) -> None:
    def version(name: str) -> str:
        if name == "pooch":
            raise metadata.PackageNotFoundError(name)
        return metadata.version(name)

    monkeypatch.setattr(requirements, "version", version)
    (misfit,) = requirements.misfits()
    assert str(misfit).startswith("pooch is missing: convrnns-brainscore needs >=1.8.")


def test_help_works_and_scoring_names_the_package_with_numpy_2(tmp_path: Path) -> None:
    """What `np.unicode_` does to Brain-Score's xarray where something lifted numpy to 2."""
    broken = "raise AttributeError('`np.unicode_` was removed in the NumPy 2.0 release.')\n"
    environment = pretend(tmp_path, "numpy", "2.4.6", broken)
    assert run(["--help"], environment).returncode == 0
    told = run(["score", "timedecay_shallow", "MajajHong2015public.IT-pls"], environment)
    assert told.returncode == 2
    assert len(told.stderr.splitlines()) == 1, told.stderr
    assert "numpy 2.4.6 is out of bounds" in told.stderr
    assert 'pip install "numpy' in told.stderr


def test_it_works_where_something_does_not_import(tmp_path: Path) -> None:
    pretend(tmp_path, "tensorflow", "1.0", "raise ImportError('no libcudart')\n")
    environment = pretend(tmp_path, "brainscore_vision", "1.0", "raise ImportError('no libhdf5')\n")
    environment["CONVRNNS_CHECKPOINTS"] = str(tmp_path / "checkpoints")
    told = run(["doctor"], environment)
    assert told.returncode == 1, told.stderr
    assert "TensorFlow: –\n    problem: does not import: ImportError: no libcudart" in told.stdout
    assert "Brain-Score: –\n    problem: does not import: ImportError: no libhdf5" in told.stdout
    assert "No problems found" not in told.stdout
    assert "none yet: `convrnns download MODEL` fetches one" in told.stdout


def test_checkpoints_are_told_with_their_state(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("CONVRNNS_CHECKPOINTS", str(tmp_path))
    (tmp_path / "rgc_shallow").mkdir()
    write_safetensors(tmp_path / "rgc_shallow" / "model.safetensors", "rgc_shallow", {})
    bundle = tmp_path / "gru_shallow"
    bundle.mkdir()
    for suffix in ("index", "data-00000-of-00001"):
        (bundle / f"model.ckpt.{suffix}").write_bytes(b"x")
    (bundle / "downloaded.json").write_text('{"model.ckpt.index": {"size": 2, "sha256": "0"}}')
    found = {line.name: line for line in doctor.checkpoints()}
    assert "lstm_shallow" in found["not there"].found
    assert "rgc_shallow" not in found["not there"].found
    assert found["rgc_shallow"].found.endswith("verified on loading")
    assert "1 bytes, 2 were recorded" in found["gru_shallow"].cure
    (size,) = (line.found for line in doctor.caches() if "CHECKPOINTS" in line.name)
    assert size.startswith(str(tmp_path))
