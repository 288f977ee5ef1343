"""Machines as they are: full disks, limits, homes that are missing or cannot be written.

Each is made of its own kind: a small file system in a mount namespace, a limit of the shell, a user
without an entry in the list of users. What cannot be made here is skipped, and says so.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

MODEL = "timedecay_shallow"
CLI = [sys.executable, "-m", "convrnns_brainscore.cli"]
UNTRAINED = ["--weights", "random"]
NO_HOME = "/proc"  # which nobody can write, root included

pytestmark = pytest.mark.slow


def run(
    arguments: list[str],
    folder: Path,
    *,
    prefix: list[str] | None = None,
    preexec: Callable[[], None] | None = None,
    **environment: str | None,
) -> subprocess.CompletedProcess[str]:
    changed = {**os.environ, **{k: v for k, v in environment.items() if v is not None}}
    for name in (name for name, value in environment.items() if value is None):
        changed.pop(name, None)
    return subprocess.run(
        [*(prefix or []), *CLI, *arguments],
        cwd=folder,
        env=changed,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=preexec,
    )


def allowed(*command: str) -> bool:
    there = shutil.which(command[0]) is not None
    return there and subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def lab(photographs: list[Path], tmp_path_factory) -> Path:
    """``it.nc``, ``stimuli/`` and the recording as a package."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "stimuli").mkdir()
    for path in photographs[:40]:
        shutil.copy(path, folder / "stimuli")
    values = np.random.default_rng(0).random((160, 6, 1))
    xr.DataArray(
        values,
        {
            "stimulus_id": ("presentation", [path.stem for path in photographs[:40]] * 4),
            "neuroid_id": ("neuroid", range(6)),
            "region": ("neuroid", ["IT"] * 6),
            "time_bin_start": ("time_bin", [70]),
            "time_bin_end": ("time_bin", [110]),
        },
        ("presentation", "neuroid", "time_bin"),
    ).to_dataset(name="rates").to_netcdf(folder / "it.nc")
    done = run(["package", "it.nc", "--stimuli", "stimuli", "--out", "packed"], folder)
    assert done.returncode == 0, done.stderr
    return folder


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The error, which is one line, with exit code 2 and no traceback."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def library(source: Path, code: str) -> Path:
    """A library that takes the place of functions of the C library (``LD_PRELOAD``)."""
    source.write_text(code)
    built = source.with_suffix(".so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", built, source], check=True)
    return built


QUOTA = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long left = 300000;

static int exceeded(int file, size_t size) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    if (strncmp(path, getenv("QUOTA_FOLDER"), strlen(getenv("QUOTA_FOLDER")))) return 0;
    left -= size;
    return left < 0;
}

ssize_t write(int file, const void *from, size_t size) {
    if (exceeded(file, size)) { errno = EDQUOT; return -1; }
    return ((ssize_t (*)(int, const void *, size_t)) dlsym(RTLD_NEXT, "write"))(file, from, size);
}

ssize_t pwrite64(int file, const void *from, size_t size, off_t at) {
    if (exceeded(file, size)) { errno = EDQUOT; return -1; }
    return ((ssize_t (*)(int, const void *, size_t, off_t)) dlsym(RTLD_NEXT, "pwrite64"))(
        file, from, size, at);
}

ssize_t pwrite(int file, const void *from, size_t size, off_t at) {
    return pwrite64(file, from, size, at);
}
"""


@pytest.mark.parametrize("kind", ["out.nc", "out.zarr"])
def test_a_quota_that_is_used_up_is_called_so(kind: str, lab: Path, tmp_path: Path) -> None:
    if not allowed("gcc", "--version"):
        pytest.skip("no compiler makes a library that counts what is written")
    shim = library(tmp_path / "quota.c", QUOTA)
    home = tmp_path / "home"
    home.mkdir()
    arguments = ["extract", MODEL, "stimuli", "--layers", "conv5", "--out", str(home / kind)]
    done = run([*arguments, *UNTRAINED], lab, LD_PRELOAD=str(shim), QUOTA_FOLDER=str(home))
    said = one_line(done)
    assert "quota" in said
    assert kind in said
    assert not (home / "out.nc").exists()


@pytest.mark.parametrize("kind", ["extract", "fit"])
def test_a_full_disk_is_called_so(kind: str, lab: Path, tmp_path: Path) -> None:
    if not allowed("unshare", "-m", "true"):
        pytest.skip("no mount namespace can be made here")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=9m tmpfs {disk} && exec "$@"'
    arguments = {
        "extract": ["extract", MODEL, "stimuli", "--layers", "conv5", "--out", f"{disk}/out.nc"],
        "fit": ["fit", MODEL, "it.nc", "--stimuli", "stimuli", "--method", "ridge", "--out",
                f"{disk}/fits", "--scratch-limit", "0.1"],
    }[kind]  # fmt: skip
    done = run([*arguments, *UNTRAINED], lab, prefix=["unshare", "-m", "sh", "-c", mount, "sh"])
    assert any(said in one_line(done) for said in ("no space is left", "is free"))


def test_the_limit_of_a_shell_on_files_is_called_so(lab: Path, tmp_path: Path) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    out = tmp_path / "out.nc"
    arguments = ["extract", MODEL, "stimuli", "--layers", "conv5", "--out", str(out), *UNTRAINED]
    said = one_line(run(arguments, lab, preexec=limited))
    assert "ulimit -f" in said
    assert not out.exists()


def test_a_file_system_without_locks_is_called_so(lab: Path, tmp_path: Path) -> None:
    if not allowed("gcc", "--version"):
        pytest.skip("no compiler makes a library that refuses locks")
    shim = library(
        tmp_path / "locks.c",
        "#include <errno.h>\nint flock(int f, int how) { errno = ENOLCK; return -1; }\n",
    )
    arguments = ["extract", MODEL, "stimuli", "--layers", "conv5", *UNTRAINED]
    done = run([*arguments, "--out", str(tmp_path / "out.zarr")], lab, LD_PRELOAD=str(shim))
    assert "its file system has no file locks. Write to a local disk" in one_line(done)
    done = run(["download", MODEL], lab, LD_PRELOAD=str(shim), CONVRNNS_CHECKPOINTS=str(tmp_path))
    assert "has no file locks: set CONVRNNS_CHECKPOINTS" in one_line(done)
    done = run(["doctor"], lab, LD_PRELOAD=str(shim), CONVRNNS_CHECKPOINTS=str(tmp_path))
    assert "(its file system has no file locks): set CONVRNNS_CHECKPOINTS" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["locks.c", "locks.so"]


def test_a_home_that_cannot_be_written_costs_no_result(lab: Path, tmp_path: Path) -> None:
    arguments = ["packed/IT.nc", *UNTRAINED, "--metric", "ridge", "--max-neuroids", "100"]
    done = run(["score", MODEL, *arguments, "--out", str(tmp_path)], lab, HOME=NO_HOME)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("*.json"))


def test_doctor_names_the_folders_that_cannot_be_written(tmp_path: Path) -> None:
    done = run(["doctor"], tmp_path, HOME=NO_HOME, CONVRNNS_CHECKPOINTS=None)
    assert done.returncode == 1
    for variable in ("CONVRNNS_CHECKPOINTS", "RESULTCACHING_HOME", "BRAINIO_HOME"):
        assert f"set {variable} to another folder" in done.stdout


def test_a_user_without_a_home_or_an_entry_can_work(lab: Path, tmp_path: Path) -> None:
    stranger = ["setpriv", "--reuid", "12345", "--inh-caps", "+dac_override"]
    stranger += ["--ambient-caps", "+dac_override"]
    if not allowed(*stranger, "true"):
        pytest.skip("no other user can be taken on here")
    arguments = ["packed/IT.nc", *UNTRAINED, "--metric", "ridge", "--max-neuroids", "100"]
    out = tmp_path / "scores"
    done = run(
        ["score", MODEL, *arguments, "--out", str(out)],
        lab,
        prefix=stranger,
        HOME=None,
        TMPDIR=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert "There is no home folder: caches are kept in" in done.stderr
    assert list(out.glob("*.json"))


def test_data_that_cannot_be_kept_names_the_variable(tmp_path: Path) -> None:
    name = "MajajHong2015public.IT-pls"
    said = run(["score", MODEL, name, *UNTRAINED, "--out", "s"], tmp_path, HOME=NO_HOME).stderr
    assert "which cannot be kept in /proc/.brainio" in said
    assert "set BRAINIO_HOME to a folder that can be written" in said
