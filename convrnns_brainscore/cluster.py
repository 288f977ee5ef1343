"""Blocks of work, done here one after another or on a Dask cluster.

A block is a call that needs nothing of the others, so that a worker that dies costs the blocks that
it had under way: Dask gives them to another. What all blocks have in common is sent once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from convrnns_brainscore._version import __version__
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.networks.backend import Backend
from convrnns_brainscore.networks.backends import open_backend

Block = TypeVar("Block")
Result = TypeVar("Result")

ANSWER_WITHIN = 15
"""Seconds in which a scheduler and its first worker answer."""

ADDRESS = re.compile(r"([a-z]+://)?\S+:\d+")
"""The address of a scheduler. Dask tries any other for half a minute."""

ATTEMPTS = 5
"""Times that a block is given to workers, where all that have what it needs die."""


class Workers(Protocol):
    """Who does blocks of work."""

    def threads(self) -> int | None:
        """Threads that each worker's networks use; None: those of this process."""

    def each_done(
        self, function: Callable[..., Result], common: tuple[Any, ...], blocks: Iterable[Block]
    ) -> Iterator[tuple[Block, Result]]:
        """``function(*common, block)`` of each block, as they are done."""


class Here:
    """This process."""

    def __repr__(self) -> str:
        return "this process"

    def threads(self) -> int | None:
        """None: those of this process."""
        return None

    def each_done(
        self, function: Callable[..., Result], common: tuple[Any, ...], blocks: Iterable[Block]
    ) -> Iterator[tuple[Block, Result]]:
        """One after another, in their order."""
        for block in blocks:
            yield block, function(*common, block)


HERE = Here()


class Cluster:
    """A Dask cluster, by its client."""

    def __init__(self, client: Any, backend: Backend | None, about: dict[str, Any]) -> None:
        self._client, self._backend, self._about = client, backend, about
        self._sent: dict[int, tuple[Any, Any]] = {}

    def __repr__(self) -> str:
        return f"a Dask cluster ({self._client.scheduler_info()['address']})"

    def threads(self) -> int | None:
        """As the workers that were there at first."""
        return int(self._about["threads"])

    def each_done(
        self, function: Callable[..., Result], common: tuple[Any, ...], blocks: Iterable[Block]
    ) -> Iterator[tuple[Block, Result]]:
        """As the workers finish them, in any order. Blocks whose workers died are done again.

        Raises
        ------
        ConvRNNError
            A worker of another version joined, workers die again and again, or the scheduler is
            gone.
        """
        from distributed import CancelledError, KilledWorker, as_completed

        waiting = list(blocks)
        for _ in range(ATTEMPTS):
            if not waiting:
                return
            lost: list[Block] = []
            futures: dict[Any, Block] = {}
            try:
                self._client.wait_for_workers(1, timeout=ANSWER_WITHIN)
                for block in waiting:
                    sent = map(self._everywhere, common)
                    alike = self._backend, self._about
                    futures[
                        self._client.submit(_call, *alike, function, *sent, block, pure=False)
                    ] = block
                for future in as_completed(list(futures), loop=self._client.loop):
                    try:
                        result = future.result()
                    except CancelledError:  # with what it needed
                        lost.append(futures[future])
                        continue
                    yield futures[future], result
            except KilledWorker as error:
                raise ConvRNNError(
                    "several workers died on the same block. They may have too little memory (see "
                    f"the memory limit of dask worker). ({error.task})"
                ) from error
            except (OSError, TimeoutError) as error:
                if isinstance(error, OSError) and error.errno is not None:  # of a block's own
                    raise
                raise ConvRNNError(
                    f"the Dask scheduler or all of its workers are gone ({type(error).__name__}). "
                    "Finished work is kept: restart them, and rerun the same command."
                ) from error
            finally:
                if self._client.status == "running":
                    self._client.cancel(list(futures))
            waiting = lost
            self._sent.clear()  # what was sent may have died with the only worker that had it
        raise ConvRNNError(
            f"workers died in each of {ATTEMPTS} attempts. Finished work is kept: rerun the same "
            "command to resume."
        )

    def _everywhere(self, value: Any) -> Any:
        """``value`` on all workers, sent once."""
        if id(value) not in self._sent:
            sent = self._client.scatter(value, broadcast=True, hash=False)
            self._sent[id(value)] = value, sent  # kept, so that no other takes its id
        return self._sent[id(value)][1]


@contextmanager
def workers(address: str | None, backend: Backend | None = None) -> Iterator[Workers]:
    """The workers of the Dask scheduler at ``address``; None: this process.

    ``backend``: what the workers' networks run on; None: TensorFlow.

    Raises
    ------
    ConvRNNError
        No scheduler answers, it has no workers, or they are of other versions than each other or
        this process.
    """
    if address is None:
        yield HERE
        return
    if not ADDRESS.fullmatch(address):
        raise ConvRNNError(f"`address={address!r}`: expected 'tcp://host:port'.")
    try:
        from distributed import Client
    except ImportError as error:
        raise ConvRNNError(
            "a Dask scheduler needs distributed: pip install distributed."
        ) from error
    try:
        client = Client(address, timeout=ANSWER_WITHIN, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ConvRNNError(
            f"no Dask scheduler answers at {address}: start one with `dask scheduler`, or omit "
            "`address=…`."
        ) from error
    with client:
        yield Cluster(client, backend, _checked(client, address, backend))


def _checked(client: Any, address: str, backend: Backend | None) -> dict[str, Any]:
    """What all workers have in common."""
    try:
        client.wait_for_workers(1, timeout=ANSWER_WITHIN)
    except TimeoutError:
        raise ConvRNNError(
            f"the Dask scheduler at {address} has no workers: start some with `dask worker "
            f"{address}`."
        ) from None
    found = client.run(_version, on_error="return")
    for worker, told in found.items():
        if told != __version__:
            what = f"cannot import convrnns_brainscore ({told!r})"
            if isinstance(told, str):
                what = f"has version {told} of convrnns_brainscore"
            raise ConvRNNError(
                f"worker {worker} {what}; this process has {__version__}. Install the same version "
                "on all machines."
            )
    described = client.run(_about, backend)
    first_worker, first = next(iter(described.items()))
    for worker, each in described.items():
        for name, value in each.items():
            if value != first[name]:
                raise ConvRNNError(
                    f"worker {worker} has {name} {value}, {first_worker} has {first[name]}: "
                    "results would differ. Start all workers with the same settings (threads: "
                    "TF_NUM_INTRAOP_THREADS, or OMP_NUM_THREADS for PyTorch)."
                )
    return dict(first)


def _version() -> str:
    return str(__version__)


def _about(backend: Backend | None) -> dict[str, Any]:
    """What must be the same for results to be the same."""
    backend = backend or open_backend()
    return {
        "convrnns_brainscore": _version(),
        "backend": backend.version,
        "threads": backend.threads(),
    }


def _call(
    backend: Backend | None,
    about: dict[str, Any],
    function: Callable[..., Result],
    *arguments: Any,
) -> Result:
    """On a worker, which may have joined late."""
    here = _about(backend)
    if here != about:
        raise ConvRNNError(
            f"a worker with {here} joined workers with {about}: start all with the same settings."
        )
    return function(*arguments)
