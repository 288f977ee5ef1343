"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from filelock import FileLock, Timeout

from convrnns_brainscore.errors import ConvRNNError, missing

try:
    import fcntl
    import resource
except ImportError:  # on Windows
    fcntl = resource = None  # type: ignore[assignment]


@contextmanager
def only_process(lock: Path, out: Path) -> Iterator[None]:
    """Hold the file ``lock`` for as long as this process writes ``out``.

    Raises
    ------
    ConvRNNError
        Another process holds it, or the file system has no locks.
    OSError
        Of the block; one without a file's name gets that of ``out``.
    """
    held = FileLock(lock, timeout=0)
    try:
        check_locks(lock)
        held.acquire()
    except Timeout:
        raise ConvRNNError(f"another process is writing {out}.") from None
    except NotImplementedError as error:
        lock.unlink(missing_ok=True)
        with suppress(OSError):  # unless something else is in it
            lock.parent.rmdir()
        raise ConvRNNError(
            f"cannot write {out}: its file system has no file locks. Write to a local disk, and "
            "copy the finished files."
        ) from error
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(out)) from error  # a write names no file
    finally:
        lock.unlink(missing_ok=True)
        held.release()


def check_locks(lock: Path) -> None:
    """Raise where a file system has no locks: filelock would wait for another process for ever.

    Raises
    ------
    NotImplementedError
        It has none.
    """
    if fcntl is None:
        return
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
                raise NotImplementedError(error.strerror) from error


def check_folder_of(out: Path) -> None:
    """Raise a `ConvRNNError` unless the folder in which ``out`` is to be written exists."""
    folder = out.absolute().parent
    if not folder.is_dir():
        raise ConvRNNError(f"{out}: there is no folder {folder}. Create it first.")


def why_not_writable(folder: Path) -> str:
    """Why nothing can be written to a folder, which need not exist yet; empty where it can.

    Tried with a file, since permissions alone do not tell of quotas, mounts and full disks.
    """
    try:
        there = _nearest(folder)
        if not there.is_dir():
            return f"{there} is not a folder"
        with NamedTemporaryFile(dir=there, prefix=".convrnns-") as file:
            file.write(bytes(4096))
            file.flush()
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def why_no_locks(folder: Path) -> str:
    """Why no file can be locked in a folder that can be written; empty where it can."""
    with NamedTemporaryFile(dir=_nearest(folder), prefix=".convrnns-") as file:
        try:
            check_locks(Path(file.name))
        except NotImplementedError:
            return "its file system has no file locks"
    return ""


def _nearest(folder: Path) -> Path:
    """The folder, or the first of its parents that exists (which may be another kind of file)."""
    while not (folder.exists() or folder.is_symlink()):
        folder = folder.parent
    return folder


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to, which takes its place when the block ends well.

    Raises
    ------
    OSError
        The folder cannot be written; it names ``path``.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.filename is None or os.fspath(error.filename) != str(partial):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, size: int = 0) -> Iterator[None]:
    """Name the cause where a netCDF file cannot be written.

    HDF5 calls a full disk "HDF error" or "Permission denied".

    Parameters
    ----------
    path : path
        The file.
    size : int, default 0
        Bytes that are to be written.

    Raises
    ------
    OSError
        The disk is full, a quota or the largest size of a file is reached, or the folder may not be
        written.
    ConvRNNError
        Another error of the netCDF library's.
    """
    try:
        yield
    except (RuntimeError, OSError) as error:
        raise _cause(path, size, error) from error


def _cause(path: Path, size: int, error: Exception) -> Exception:
    """What the operating system says when something else is written there."""
    code, said = None, ""
    probe = path.with_name(f".{path.name}.probe")
    try:
        probe.write_bytes(bytes(2**20))
        if resource is not None and 0 <= resource.getrlimit(resource.RLIMIT_FSIZE)[0] < size:
            code = errno.EFBIG
        elif shutil.disk_usage(path.parent).free < size:
            code = errno.ENOSPC
    except OSError as found:
        code, said = found.errno, found.strerror or ""
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    if code is not None:
        return OSError(code, said or os.strerror(code), str(path))
    return ConvRNNError(f"cannot write {path}: {error}")


def check_readable(path: Path) -> None:
    """Raise unless ``path`` is a file or folder that may be read.

    Raises
    ------
    ConvRNNError
        There is none, it is a link to none, a device or a pipe, or may not be read.
    """
    try:
        there = path.exists()
    except OSError as error:  # too long a name
        raise ConvRNNError(f"{str(path)[:60]}… cannot be read: {error.strerror}.") from error
    if not there:
        raise missing(path, f"{path} does not exist.")
    if not path.is_dir() and not path.is_file():
        raise ConvRNNError(f"{path} is a device or a pipe; expected a file or folder.")
    if not os.access(path, os.R_OK):
        raise ConvRNNError(f"you have no permission to read {path}: ask its owner for access.")


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file's content."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
