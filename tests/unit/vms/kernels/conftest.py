"""A signed Debian repository that the tests make, serve on loopback and damage."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support.packages import Key, Repository, image_deb
from vms.cache import Cache


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def _make_key(directory: Path) -> Key:
    directory.mkdir(mode=0o700)
    public = directory / "public.gpg"
    environment = {**os.environ, "GNUPGHOME": str(directory)}
    make = [
        "gpg",
        "--batch",
        "--quiet",
        "--passphrase",
        "",
        "--quick-generate-key",
        "nobody@nowhere",
        "ed25519",
        "sign",
        "never",
    ]
    subprocess.run(make, check=True, env=environment, capture_output=True)
    subprocess.run(
        ["gpg", "--batch", "--output", str(public), "--export"],
        check=True,
        env=environment,
        capture_output=True,
    )
    return Key(directory, public)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Key, Key]]:
    """The repository's key, and that of a stranger."""
    # gpg's agent listens on a socket in its home, whose path may be 107 bytes long.
    base = tmp_path_factory.mktemp("k")
    pair = (_make_key(base / "a"), _make_key(base / "b"))
    yield pair
    for key in pair:
        subprocess.run(
            ["gpgconf", "--kill", "all"], check=True, env={**os.environ, "GNUPGHOME": str(key.home)}
        )


@pytest.fixture
def repository(tmp_path: Path, keys: tuple[Key, Key]) -> Iterator[Repository]:
    root = tmp_path / "repository"
    root.mkdir()
    repository = Repository(root, keys[0])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.close_connection = True
            span = self.headers.get("Range", "")
            repository.requests.append((self.path, span))
            if repository.hang:
                repository.released.wait(60)
                return
            if repository.fail:
                self.send_error(repository.fail)
                return
            path = root / unquote(self.path).lstrip("/")
            if not path.is_file():
                self.send_error(404)
                return
            content = path.read_bytes()
            start = int(span.removeprefix("bytes=").partition("-")[0]) if span else 0
            self.send_response(206 if span else 200)
            if span:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.send_header("Last-Modified", formatdate(path.stat().st_mtime, usegmt=True))
            self.end_headers()
            self.wfile.write(
                content[start : start + repository.cut] if repository.cut is not None else content[start:]
            )
            if repository.stall:
                self.wfile.flush()
                repository.released.wait(60)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        repository.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield repository
        repository.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def published(repository: Repository, tmp_path: Path) -> Repository:
    """A repository with two releases of one series, as it should be."""
    for abi, version in (("6.12.107+deb13", "6.12.107-1"), ("6.12.117+deb13", "6.12.117-1")):
        repository.add(image_deb(tmp_path, abi, version))
    repository.publish()
    return repository
