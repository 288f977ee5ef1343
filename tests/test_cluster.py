"""Extraction and fits on a real Dask scheduler with two worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from distributed import Client

from convrnns_brainscore import ConvRNNError, cluster, load_network
from convrnns_brainscore.cluster import workers
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.features import extract
from convrnns_brainscore.fits.fit import fit_recording
from convrnns_brainscore.fits.heldout import Method
from convrnns_brainscore.fits.prepare import prepare
from convrnns_brainscore.recordings import as_recording
from convrnns_brainscore.stimuli import read_stimuli

ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1"}


class Cluster:
    """A scheduler and workers, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, []
        file = folder / "scheduler.json"
        self._start("scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        with Client(scheduler_file=str(file)) as client:
            self.address = client.scheduler.address

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]],
            cwd=self.folder,
            env=ENVIRONMENT,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        """One more, without a nanny that would start it again."""
        return self._start(
            "worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"
        )

    def close(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory) -> Iterator[Cluster]:
    running = Cluster(tmp_path_factory.mktemp("cluster"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def two_workers(scheduler: Cluster) -> Iterator[Cluster]:
    pair = [scheduler.worker() for _ in range(2)]
    with Client(scheduler.address) as client:
        client.wait_for_workers(2, timeout=60)
    yield scheduler
    for process in pair:
        process.kill()
        process.wait()


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_network_is_sent_as_its_weights(network: ConvRNN) -> None:
    import pickle

    sent = pickle.loads(pickle.dumps(network))
    image = np.random.default_rng(0).random((1, 224, 224, 3), np.float32)
    first, second = (each.unroll(image, ["conv5"])["conv5"] for each in (network, sent))
    np.testing.assert_array_equal(first, second)
    assert sent.label == network.label


@pytest.mark.slow
def test_extraction_gives_the_same_bytes(
    two_workers: Cluster, photographs: list[Path], tmp_path: Path
) -> None:
    """21 images in batches of 8, 20 times: by two workers, and here with as many threads."""
    images, runs = photographs[:21], 20
    network = load_network("timedecay_shallow", weights="random")
    with workers(two_workers.address) as who:
        for run in range(runs):
            out = tmp_path / f"there{run}.zarr"
            extract(network, images, ["conv3", "conv5"], out, workers=who)
    code = """
import sys
from convrnns_brainscore import load_network
from convrnns_brainscore.features import extract
network = load_network("timedecay_shallow", weights="random")
extract(network, sys.argv[2:], ["conv3", "conv5"], sys.argv[1])
"""
    here = tmp_path / "here.zarr"
    subprocess.run(
        [sys.executable, "-c", code, str(here), *map(str, images)], env=ENVIRONMENT, check=True
    )
    for run in range(runs):
        assert bytes_of(tmp_path / f"there{run}.zarr") == bytes_of(here)


@pytest.mark.ci
def test_a_worker_that_is_killed_costs_its_block_alone(
    scheduler: Cluster, two_workers: Cluster, photographs: list[Path], tmp_path: Path
) -> None:
    network = load_network("timedecay_shallow", weights="random")
    images = photographs[:32]
    with workers(scheduler.address) as who:
        extract(network, images, ["conv5"], tmp_path / "whole.zarr", batch_size=2, workers=who)

    third = scheduler.worker()
    with Client(scheduler.address) as client:
        client.wait_for_workers(3, timeout=60)
    out = tmp_path / "again.zarr"
    journal = tmp_path / ".again.zarr.partial" / "journal.jsonl"

    def kill_under_way() -> None:
        while not (journal.exists() and len(journal.read_text().splitlines()) > 3):
            time.sleep(0.01)
        third.send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill_under_way)
    killer.start()
    with workers(scheduler.address) as who:
        extract(network, images, ["conv5"], out, batch_size=2, workers=who)
    killer.join()
    assert third.wait() == -signal.SIGKILL
    assert bytes_of(out) == bytes_of(tmp_path / "whole.zarr")


@pytest.mark.slow
def test_the_only_worker_dies_and_another_comes(photographs: list[Path], tmp_path: Path) -> None:
    """With all that had been sent to it."""
    network = load_network("timedecay_shallow", weights="random")
    images = photographs[:40]
    alone = Cluster(tmp_path)
    out, journal = tmp_path / "f.zarr", tmp_path / ".f.zarr.partial" / "journal.jsonl"
    first = alone.worker()

    def replace_it() -> None:
        while not (journal.exists() and len(journal.read_text().splitlines()) > 2):
            time.sleep(0.01)
        first.send_signal(signal.SIGKILL)
        alone.worker()

    try:
        replacing = threading.Thread(target=replace_it)
        replacing.start()
        with workers(alone.address) as who:
            extract(network, images, ["conv5"], out, batch_size=2, workers=who)
        replacing.join()
        with xr.open_zarr(out, group="conv5") as held:
            assert np.isfinite(held["activations"].values).all()

        second = tmp_path / "again.zarr"
        journal = tmp_path / ".again.zarr.partial" / "journal.jsonl"

        def end_the_scheduler() -> None:
            while not (journal.exists() and len(journal.read_text().splitlines()) > 2):
                time.sleep(0.01)
            alone.close()

        ending = threading.Thread(target=end_the_scheduler)
        ending.start()
        with (
            pytest.raises(ConvRNNError, match=r"gone.* rerun the same command"),
            workers(alone.address) as who,
        ):
            extract(network, images, ["conv5"], second, batch_size=2, workers=who)
        ending.join()
    finally:
        alone.close()


@pytest.mark.ci
@pytest.mark.parametrize("time_", ["per-bin", pytest.param("shared", marks=pytest.mark.slow)])
def test_fits_give_the_same_numbers(
    two_workers: Cluster, photographs: list[Path], tmp_path: Path, time_: str
) -> None:
    rng = np.random.default_rng(0)
    images = photographs[:40]
    data = xr.DataArray(
        rng.random((80, 4, 2)),
        {
            "stimulus_id": ("presentation", [path.stem for path in images] * 2),
            "neuroid_id": ("neuroid", range(4)),
            "region": ("neuroid", ["V4", "V4", "IT", "IT"]),
            "time_bin_start": ("time_bin", [60, 70]),
            "time_bin_end": ("time_bin", [70, 80]),
        },
        ["presentation", "neuroid", "time_bin"],
    )
    method = Method("pls", 4)
    stimuli = read_stimuli([str(path) for path in images])[0]
    prepared = prepare(as_recording(data), stimuli, needed=4, latencies=[0, 20])

    def fitted(who: cluster.Workers, out: Path):
        return fit_recording(
            {"model": lambda: load_network("timedecay_shallow", weights="random")},
            prepared, out, method=method, time=time_, cross_temporal=time_ == "per-bin",
            workers=who,
        )  # fmt: skip

    with workers(two_workers.address) as who:
        there = fitted(who, tmp_path / "there")
    here = fitted(cluster.HERE, tmp_path / "here")
    assert there.fits.keys() == here.fits.keys()
    for key, fit in here.fits.items():
        for name, values in fit.data_vars.items():
            if values.dtype.kind == "f":
                np.testing.assert_allclose(there.fits[key][name], values, atol=2e-3, err_msg=name)


def test_a_scheduler_that_is_not_there_is_one_line(monkeypatch) -> None:
    monkeypatch.setattr(cluster, "ANSWER_WITHIN", 1)
    with (
        pytest.raises(ConvRNNError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"),
        workers("tcp://127.0.0.1:9"),
    ):
        pass


@pytest.mark.parametrize("address", ["", "foo", "tcp://", "host"])
def test_what_is_not_an_address_is_refused_at_once(address: str) -> None:
    with pytest.raises(ConvRNNError, match="expected 'tcp://host:port'"), workers(address):
        pass


@pytest.mark.ci
def test_workers_of_another_version_are_refused(two_workers: Cluster, monkeypatch) -> None:
    monkeypatch.setattr(cluster, "__version__", "99.0")
    with (
        pytest.raises(ConvRNNError, match=r"worker .* has version .*; this process has 99\.0"),
        workers(two_workers.address),
    ):
        pass


def test_a_scheduler_without_workers_is_one_line(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(cluster, "ANSWER_WITHIN", 2)
    alone = Cluster(tmp_path)
    try:
        with (
            pytest.raises(ConvRNNError, match="has no workers: start some with `dask worker"),
            workers(alone.address),
        ):
            pass
    finally:
        alone.close()
