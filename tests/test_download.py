"""Checkpoints from a server that does what servers do."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from test_checkpoints import write_checkpoint

from convrnns_brainscore import ConvRNNError, download, load_network
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.download import download as fetch
from convrnns_brainscore.download import download_weights
from convrnns_brainscore.files import sha256_of

MODEL = "timedecay_shallow"
DATA = "model.ckpt.data-00000-of-00001"


class Server(ThreadingHTTPServer):
    """Serves a folder; ``trouble`` has what it does to the next requests for the data instead."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.folder, self.trouble, self.requests = folder, [], []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(SimpleHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        self.server.requests.append(name)
        file = self.server.folder / name
        trouble = None
        if name.endswith(DATA) and self.server.trouble:
            trouble = self.server.trouble.pop(0)
        if isinstance(trouble, int) or not file.is_file():
            self.send_error(trouble or 404)
            return
        content = file.read_bytes()
        half = len(content) // 2
        self.send_response(200)
        announced = {"announced short": half, "longer": len(content) - 1}
        self.send_header("Content-Length", str(announced.get(str(trouble), len(content))))
        self.end_headers()
        if trouble == "truncate":
            self.wfile.write(content[:half])
        elif trouble == "stall":
            self.wfile.write(content[:half])
            time.sleep(5)
        elif trouble == "corrupt":
            flipped = bytes([content[half] ^ 1])
            self.wfile.write(content[:half] + flipped + content[half + 1 :])
        elif trouble == "page":
            self.wfile.write(b"<html>Log in to the network</html>".ljust(len(content)))
        else:
            self.wfile.write(content)


@pytest.fixture(scope="module")
def published(tmp_path_factory, network: ConvRNN) -> Path:
    folder = tmp_path_factory.mktemp("published")
    write_checkpoint(folder / MODEL / "model.ckpt", network.weights.values)
    return folder


@pytest.fixture
def server(published: Path, monkeypatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "TIMEOUT", 1.0)
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)  # between its attempts
    server = Server(published)
    yield server
    server.shutdown()
    server.server_close()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")} - {MODEL}


WHOLE = {"model.ckpt.index", DATA, "downloaded.json"}


def test_a_download_is_kept_checked_and_recorded(
    server: Server, tmp_path: Path, network: ConvRNN, monkeypatch
) -> None:
    assert fetch(MODEL, tmp_path, server.address)
    assert names(tmp_path) == WHOLE
    record = json.loads((tmp_path / MODEL / "downloaded.json").read_text())
    assert record[DATA]["size"] == (tmp_path / MODEL / DATA).stat().st_size
    asked = len(server.requests)
    assert not fetch(MODEL, tmp_path, server.address)
    assert len(server.requests) == asked == 2

    monkeypatch.setenv("CONVRNNS_CHECKPOINTS", str(tmp_path))
    assert load_network(MODEL).weights.sha256 == network.weights.sha256


@pytest.mark.parametrize("trouble", ["truncate", "stall", 503])
def test_trouble_that_passes_is_outlasted(server: Server, tmp_path: Path, trouble: object) -> None:
    server.trouble = [trouble, trouble]
    assert fetch(MODEL, tmp_path, server.address)
    assert names(tmp_path) == WHOLE


@pytest.mark.parametrize("trouble", ["truncate", "stall", 404, 416, 503])
def test_trouble_that_stays_is_named_and_leaves_no_half_file(
    server: Server, tmp_path: Path, trouble: object
) -> None:
    server.trouble = [trouble] * 10
    with pytest.raises(ConvRNNError, match=rf"cannot download http://.*/{MODEL}/{DATA}: ") as told:
        fetch(MODEL, tmp_path, server.address)
    assert "\n" not in str(told.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("trouble", ["corrupt", "page", "announced short", "longer"])
def test_what_arrives_damaged_is_not_kept(server: Server, tmp_path: Path, trouble: str) -> None:
    server.trouble = [trouble]
    with pytest.raises(ConvRNNError, match=r"is damaged, or not a checkpoint.* Nothing was kept"):
        fetch(MODEL, tmp_path, server.address)
    assert not list(tmp_path.iterdir())


def test_an_unreachable_server_is_one_line(tmp_path: Path, server: Server) -> None:
    with pytest.raises(ConvRNNError, match=r"cannot download http://127\.0\.0\.1:9/") as told:
        fetch(MODEL, tmp_path, "http://127.0.0.1:9")
    assert "\n" not in str(told.value)


def test_later_damage_is_found_by_the_record_and_mended(server: Server, tmp_path: Path) -> None:
    fetch(MODEL, tmp_path, server.address)
    index = tmp_path / MODEL / "model.ckpt.index"
    whole = index.read_bytes()
    index.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ConvRNNError, match=r"index is not what was downloaded .*Download"):
        load_network(MODEL, checkpoint=index.parent)
    assert fetch(MODEL, tmp_path, server.address)
    assert index.read_bytes() == whole


def test_another_file_under_the_same_address_is_refused(
    server: Server, tmp_path: Path, network: ConvRNN
) -> None:
    fetch(MODEL, tmp_path, server.address)
    record = tmp_path / MODEL / "downloaded.json"
    held = json.loads(record.read_text())
    held[DATA]["sha256"] = "0" * 64
    record.write_text(json.dumps(held))
    with pytest.raises(ConvRNNError, match="not the file recorded at the first download"):
        fetch(MODEL, tmp_path, server.address)


def test_a_killed_downloads_leftover_is_removed(server: Server, tmp_path: Path) -> None:
    (tmp_path / MODEL / ".download").mkdir(parents=True)
    (tmp_path / MODEL / ".download" / "tmpabc123").write_bytes(b"half")
    fetch(MODEL, tmp_path, server.address)
    assert names(tmp_path) == WHOLE
    assert {(tmp_path / MODEL / name).stat().st_mode & 0o777 for name in WHOLE} == {0o644}


def test_what_the_user_put_there_stays(server: Server, tmp_path: Path) -> None:
    (tmp_path / MODEL).mkdir()
    for name in ("model.ckpt.index", "tmp_notes.txt"):
        (tmp_path / MODEL / name).write_text("mine")
    with pytest.raises(ConvRNNError, match=r"model\.ckpt\.index exists but was not downloaded by"):
        fetch(MODEL, tmp_path, server.address)
    assert names(tmp_path) == {"model.ckpt.index", "tmp_notes.txt"}


@pytest.mark.ci
def test_of_two_processes_one_downloads(server: Server, tmp_path: Path) -> None:
    code = "import sys; from convrnns_brainscore.cli import main; main()"
    command = [sys.executable, "-c", code, "download", MODEL, "--from", server.address]
    environment = {**os.environ, "CONVRNNS_CHECKPOINTS": str(tmp_path)}
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = sorted(process.communicate(timeout=120)[0].split(": ")[1] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert said == ["already there, verified\n", "downloaded, verified\n"]
    assert server.requests.count(f"{MODEL}/{DATA}") == 1


def test_a_folder_that_cannot_be_written_is_one_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    command = [sys.executable, "-m", "convrnns_brainscore.cli", "download", MODEL]
    command += ["--from", server.address, "--checkpoints", str(tmp_path / "file")]
    told = subprocess.run(command, capture_output=True, text=True)
    assert (told.returncode, len(told.stderr.strip().splitlines())) == (2, 1)
    assert "set CONVRNNS_CHECKPOINTS to a folder" in told.stderr


@pytest.mark.parametrize(
    ("status", "asked", "said"),
    [
        (
            403,
            1,
            "status 403. The server does not allow access. A signed address may have expired.",
        ),
        (404, 1, "status 404. The server has no such file. Check the address."),
        (410, 1, "status 410. The file has been removed there."),
        (418, 1, "status 418. The server refuses the request."),
        (503, 4, "status 503. The server has an error. Try again later."),
    ],
)
def test_what_a_server_refuses_is_asked_for_once(
    status: int, asked: int, said: str, server: Server, tmp_path: Path
) -> None:
    server.trouble = [status] * 10
    with pytest.raises(ConvRNNError) as error:
        fetch(MODEL, tmp_path, server.address)
    assert f"{DATA}: {said}" in str(error.value)
    assert server.requests.count(f"{MODEL}/{DATA}") == asked
    assert not names(tmp_path)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://127.0.0.1:9", "it refuses connections"),
        ("ftp://lab.org", "Expected https://"),
        ("lab.org", "Expected https://"),
    ],
)
def test_an_address_that_cannot_be_reached_is_named_with_the_way_out(
    address: str, said: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)
    with pytest.raises((ConvRNNError, ValueError)) as error:
        fetch(MODEL, tmp_path, address)
    assert said in str(error.value)


def test_a_password_in_an_address_is_not_shown(server: Server, tmp_path: Path) -> None:
    server.trouble = [403]
    signed = server.address.replace("http://", "http://me:secret@")
    with pytest.raises(ConvRNNError) as error:
        fetch(MODEL, tmp_path, signed)
    assert "secret" not in str(error.value)
    assert "cannot download http://127.0.0.1" in str(error.value)


def test_a_cache_that_cannot_be_written_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConvRNNError, match="set CONVRNNS_CHECKPOINTS to a folder"):
        fetch(MODEL, tmp_path / "file" / "cache", "http://127.0.0.1:9")


def test_weights_in_a_folder_that_is_only_readable_are_used(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "rgc_shallow" / "weights"
    file.parent.mkdir()
    file.write_bytes(b"weights")
    sha256 = sha256_of(file)
    kept = file.rename(file.with_name(f"{sha256[:16]}.safetensors"))

    def read_only(lock: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(lock))

    monkeypatch.setattr("convrnns_brainscore.download.check_locks", read_only)
    nowhere = "http://127.0.0.1:9/weights"
    assert download_weights("rgc_shallow", tmp_path, nowhere, sha256) == kept
    with pytest.raises(ConvRNNError, match=r"cannot be written .*: set CONVRNNS_CHECKPOINTS"):
        download_weights("rgc_shallow", tmp_path, nowhere, "0" * 64)
