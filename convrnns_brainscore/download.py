"""Fetch the published checkpoints.

A checkpoint that came over a network is read once before it is kept, which checks the CRC32C of
every variable in it; the sizes and SHA-256 of its files are recorded then, and every later load
and download is checked against that record.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pooch
import requests
from filelock import FileLock

from convrnns_brainscore.checkpoints import (
    DATA,
    RECORD,
    check_record,
    checkpoint_path,
    make_folder,
    read_checkpoint,
    read_record,
)
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.files import check_locks, sha256_of
from convrnns_brainscore.networks.build import variable_shapes
from convrnns_brainscore.zoo import find_model

_log = logging.getLogger(__name__)

BASE_ADDRESS = "https://convrnnckpts.s3-us-west-1.amazonaws.com"
"""Where the authors publish the checkpoints, as ``/<model>/model.ckpt.index`` and ``.data-…``."""

RETRIES = 3
TIMEOUT = 30.0
"""Seconds without a byte after which a connection is given up, and tried again."""

_CHUNK = 1 << 16

WORTH_RETRYING = (408, 425, 429, 500, 502, 503, 504)
"""Status codes of HTTP after which a server may answer."""

NO_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)

STATUS = {
    401: "The server asks for a sign-in. Use an address that needs none.",
    403: "The server does not allow access. A signed address may have expired.",
    404: "The server has no such file. Check the address.",
    410: "The file has been removed there. Ask who published it.",
    429: "Too many requests were sent. Try again later.",
}
"""Status code → what it means, and what to do."""


def download(
    model: str, folder: Path, base_address: str = BASE_ADDRESS, *, progress: bool = False
) -> bool:
    """Fetch ``model``'s checkpoint to ``folder/<model>/model.ckpt.…``, unless it is there.

    A second process that wants the same checkpoint waits for the first.

    Parameters
    ----------
    model : str
        A name of the zoo.
    folder : path
        Where checkpoints lie.
    base_address : str, default BASE_ADDRESS
        The address below which ``/<model>/model.ckpt.…`` lie.
    progress : bool, default False
        Show a progress bar for each file.

    Returns
    -------
    bool
        Whether anything was fetched; False if the whole checkpoint was there.

    Raises
    ------
    ConvRNNError
        Unknown model; the server has no such files, or is not reached, in `RETRIES` + 1 attempts;
        what came is damaged, or differs from what was recorded at the first download; a checkpoint
        is there that this function did not bring; the folder cannot be written.
    OSError
        The disk is full.
    """
    shapes = variable_shapes(find_model(model))
    prefix = checkpoint_path(folder, model)
    if _is_whole(prefix):
        _log.info("%s is there already, and whole", prefix)
        return False
    arriving = prefix.parent / ".download"
    with _alone_in(arriving):
        if _is_whole(prefix):
            return False
        known = read_record(prefix)
        foreign = [file for file in _files(prefix) if file.exists() and not known]
        if foreign:
            raise ConvRNNError(
                f"{foreign[0]} exists but was not downloaded by this tool, so it is not "
                "overwritten. Move it, or choose another folder."
            )
        registry = {
            file.name: known[file]["sha256"] if file in known else None for file in _files(prefix)
        }
        address = f"{base_address.rstrip('/')}/{model}"
        source = pooch.create(arriving, address, registry=registry, retry_if_failed=RETRIES)
        for name in registry:
            differs = (
                "not the file recorded at the first download. If the authors have published a new "
                f"version, remove {prefix.parent / RECORD}."
            )
            _fetch(source, name, progress, differs)
        _keep(model, prefix, arriving, shapes, base_address)
    return True


def download_weights(model: str, folder: Path, url: str, sha256: str) -> Path:
    """Fetch a ``.safetensors`` of ``model`` from an address of one's own, unless it is there.

    Parameters
    ----------
    model : str
        A name of the zoo.
    folder : path
        Where checkpoints lie.
    url, sha256 : str
        Address and digest of the file, which is checked against the digest each time.

    Returns
    -------
    path
        Where it lies, beside the published checkpoint.

    Raises
    ------
    ConvRNNError
        The server has no such file, or is not reached, in `RETRIES` + 1 attempts; it is another
        file than the digest says; the folder cannot be written.
    OSError
        The disk is full.
    """
    name = f"{sha256[:16]}.safetensors"
    beside = folder / find_model(model).name
    # A folder that a lab shares may be readable alone.
    if (beside / name).is_file() and sha256_of(beside / name) == sha256:
        return beside / name
    make_folder(beside)
    _check_locks(beside / f".{name}.lock")
    with FileLock(beside / f".{name}.lock"):
        source = pooch.create(
            beside, "", registry={name: sha256}, urls={name: url}, retry_if_failed=RETRIES
        )
        _fetch(source, name, False, f"not the file with the SHA-256 {sha256}.")
    return beside / name


@contextmanager
def _alone_in(arriving: Path) -> Iterator[None]:
    """Hold the folder, and remove it at the end with what is in it.

    Another process that held it may have removed it between any two lines here.
    """
    while True:
        make_folder(arriving)
        lock = FileLock(arriving / "lock")
        try:
            _check_locks(arriving / "lock")
            lock.acquire()
        except FileNotFoundError:  # removed since it was made
            continue
        except ConvRNNError:
            _remove(arriving)
            raise
        if (arriving / "lock").exists():
            break
        lock.release()
    try:
        yield
    finally:
        _remove(arriving)
        lock.release()


def _remove(arriving: Path) -> None:
    """Remove the folder, and the one that it lies in unless something else is there."""
    shutil.rmtree(arriving, ignore_errors=True)
    with suppress(OSError):
        arriving.parent.rmdir()


def _check_locks(lock: Path) -> None:
    try:
        check_locks(lock)
    except OSError as error:
        raise ConvRNNError(
            f"{lock.parent} cannot be written ({error.strerror}): set CONVRNNS_CHECKPOINTS to "
            "another folder, or give `checkpoint=…`."
        ) from error
    except NotImplementedError as error:
        raise ConvRNNError(
            f"the file system of {lock.parent} has no file locks: set CONVRNNS_CHECKPOINTS to a "
            "folder on a local disk, or give `checkpoint=…`."
        ) from error


def _keep(
    model: str,
    prefix: Path,
    arriving: Path,
    shapes: dict[str, tuple[int, ...]],
    base_address: str,
) -> None:
    """Move what arrived to its place, with its record, if it is ``model``'s checkpoint."""
    arrived = _files(arriving / prefix.name)
    try:
        read_checkpoint(arriving / prefix.name, shapes)
    except ConvRNNError as error:
        raise ConvRNNError(
            f"the download from {base_address}/{model} is damaged, or not a checkpoint of {model}. "
            f"Nothing was kept; try again. ({error})"
        ) from error
    record = {
        file.name: {"size": file.stat().st_size, "sha256": sha256_of(file)} for file in arrived
    }
    written = arriving / RECORD
    written.write_text(json.dumps(record, indent=1), encoding="utf-8")
    for file in (written, *arrived):  # the record first: what is missing is then fetched again
        file.chmod(0o644)  # for all of a lab that share the folder
        file.replace(prefix.parent / file.name)


def _files(prefix: Path) -> list[Path]:
    return [prefix.with_name(prefix.name + suffix) for suffix in (".index", DATA)]


def _is_whole(prefix: Path) -> bool:
    """Whether both files are there, and as their record says."""
    if not read_record(prefix) or not all(file.is_file() for file in _files(prefix)):
        return False
    try:
        check_record(prefix)
    except ConvRNNError:
        return False
    return True


def _fetch(source: pooch.Pooch, name: str, progress: bool, differs: str) -> None:
    """One file of ``source``; ``differs``: what is said of one that its digest does not fit."""
    address = source.get_url(name)
    _log.info("downloading %s", shown_address(address))
    pooch.get_logger().setLevel("WARNING")  # it would announce each file beside its bar
    downloader = _Downloader(progressbar=progress, chunk_size=_CHUNK, timeout=TIMEOUT)
    try:
        source.fetch(name, downloader=downloader)
    except requests.RequestException as error:
        raise _problem(address, error) from error
    except _RefusedError as refused:
        raise _problem(address, refused.error) from refused.error
    except ValueError as error:
        raise ConvRNNError(f"{shown_address(address)} is {differs}") from error


class _RefusedError(Exception):
    """An error that pooch, which knows only kinds of it, is not to try again after."""

    def __init__(self, error: requests.RequestException) -> None:
        super().__init__(error)
        self.error = error


class _Downloader(pooch.HTTPDownloader):  # type: ignore[misc]
    """pooch's, but what the server refuses is not asked for again."""

    def __call__(self, url: str, *arguments: Any, **settings: Any) -> Any:
        try:
            return super().__call__(url, *arguments, **settings)
        except requests.HTTPError as error:
            if error.response is None or error.response.status_code in WORTH_RETRYING:
                raise
            raise _RefusedError(error) from error


def shown_address(url: str) -> str:
    """An address without what signs one in.

    Examples
    --------
    >>> shown_address("https://me@lab.org/a/model.safetensors?signature=1f3a")
    'https://lab.org/a/model.safetensors?…'
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", ""))


def _problem(url: str, error: requests.RequestException) -> ConvRNNError:
    """What failed, and what to do."""
    inner = str(error)
    why = "the connection broke. Run the same command again."
    if isinstance(error, requests.HTTPError) and error.response is not None:
        status = error.response.status_code
        meaning = STATUS.get(status, "The server has an error. Try again later.")
        if 400 <= status < 500 and status not in STATUS:
            meaning = "The server refuses the request. Check the address."
        why = f"status {status}. {meaning}"
    elif isinstance(error, NO_ADDRESS):
        why = "it is not an address that can be fetched. Expected https://…"
    elif isinstance(error, requests.exceptions.SSLError):
        why = "its certificate is not trusted here. Behind a proxy, set REQUESTS_CA_BUNDLE."
    elif isinstance(error, requests.exceptions.ProxyError):
        why = "the proxy does not let it through. Check HTTPS_PROXY."
    elif isinstance(error, requests.Timeout):
        why = f"it does not answer within {TIMEOUT:g} s. Try again later."
    elif "resolve" in inner or "Name or service" in inner:
        why = "no such host is known. Check the network and the address."
    elif "refused" in inner:
        why = "it refuses connections. Check the address, or try again later."
    return ConvRNNError(f"cannot download {shown_address(url)}: {why}")
