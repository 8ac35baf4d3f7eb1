"""A hub on loopback: serves repositories from directories in the hub's own layout, for the hub's own clients.

Every repository is a directory; its commit is a digest of its files. Faults can be switched on: a status for every
request of a repository, a connection cut in the middle of a file, a file whose bytes are not what its checksum says.
"""

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

_API = re.compile(r"^/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/([^/]+)(?:/(.*))?)?$")
_FILE = re.compile(r"^/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")


@dataclass
class Hub:
    """What is served, and what goes wrong.

    Attributes:
        repositories: (kind, id) to directory.
        commits: (kind, id) to the commit that stands for its files, where a client pins one.
        status: (kind, id) to the status every request of it gets, with the hub's error code.
        cut: paths whose first transfer ends in the middle.
        wrong: paths whose first transfer has other bytes than its checksum says.
        faults: (id, path) to how many more ``GET`` of it are answered, and to the status of all later ones (0: the
            connection is cut in the middle of the file).
        before: called with the path of a file before it is sent.
        asked: how often each ``METHOD path`` was asked for.
        ranges: the ``Range`` headers that came.
        sent: bytes of each file that were sent.
        together: how many files were sent at the same time, at most.
    """

    repositories: dict[tuple[str, str], Path] = field(default_factory=dict)
    commits: dict[tuple[str, str], str] = field(default_factory=dict)
    status: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    wrong: set[str] = field(default_factory=set)
    faults: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    before: Callable[[str], None] = lambda path: None
    asked: Counter[str] = field(default_factory=Counter)
    ranges: list[str] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    together: int = 0
    url: str = ""
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Counts those that are sent while the block runs."""
        with self._lock:
            self._now += 1
            self.together = max(self.together, self._now)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, computed anew when it changes."""
    facts = path.stat()
    return _sha256(path, facts.st_size, facts.st_mtime_ns)


@cache
def _sha256(path: Path, *_: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files_of(root: Path) -> list[str]:
    """Its files, as the hub lists them."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def commit_of(root: Path) -> str:
    """A commit: 40 hexadecimal digits that change with any file."""
    total = hashlib.sha1()  # noqa: S324 - as git names commits
    for name in files_of(root):
        total.update(name.encode() + bytes.fromhex(sha256_of(root / name)))
    return total.hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for the client to confirm its headers
    hub: Hub

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def do_POST(self):
        size = int(self.headers.get("Content-Length") or 0)
        self._answer(body=True, posted=self.rfile.read(size))

    def _answer(self, *, body, posted=b""):
        path = unquote(urlsplit(self.path).path)
        self.hub.asked[f"{self.command} {path}"] += 1
        if found := _API.match(path):
            kind, id, what, revision, rest = found.groups()
            self._api(kind, id, what, revision, rest or "", posted)
        elif found := _FILE.match(path):
            data, id, revision, name = found.groups()
            with self.hub.sending():
                self._file("datasets" if data else "models", id, revision, name, body)
        else:
            self._json(404, {"error": "Not found"})

    def _commit(self, kind, id):
        return self.hub.commits.get((kind, id)) or commit_of(self.hub.repositories[kind, id])

    def _repository(self, kind, id, revision):
        """The directory, or none after an error was sent."""
        if (kind, id) in self.hub.status:
            status, code = self.hub.status[kind, id]
            self._json(status, {"error": code}, {"X-Error-Code": code, "X-Error-Message": code} if code else {})
            return None
        root = self.hub.repositories.get((kind, id))
        if root is None:
            self._json(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            return None
        if revision not in (None, "main", self._commit(kind, id)):
            self._json(404, {"error": "Revision not found"}, {"X-Error-Code": "RevisionNotFound"})
            return None
        return root

    def _api(self, kind, id, what, revision, rest, posted):
        root = self._repository(kind, id, revision)
        if root is None:
            return
        names = files_of(root)
        if what in (None, "revision"):
            siblings = [{"rfilename": name} for name in names]
            facts = {
                "id": id,
                "sha": self._commit(kind, id),
                "siblings": siblings,
                "private": False,
                "gated": False,
                "tags": [],
            }
            self._json(200, {**facts, "downloads": 0, "likes": 0})
        elif what == "tree":
            inside = [name for name in names if not rest or name.startswith(rest + "/")]
            recursive = "recursive=true" in self.path.lower()
            if rest and not inside:
                self._json(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
                return
            self._json(200, _entries(root, inside, rest, recursive))
        else:
            fields = json.loads(posted) if posted[:1] == b"{" else {}
            wanted = fields.get("paths") or re.findall(r"paths=([^&]+)", unquote(posted.decode()))
            wanted = [wanted] if isinstance(wanted, str) else wanted
            found = [entry for entry in _entries(root, names, "", True) if entry["path"] in wanted]
            self._json(200, found)

    def _file(self, kind, id, revision, name, body):
        root = self._repository(kind, id, revision)
        if root is None:
            return
        path = root / name
        if not path.is_file():
            self._json(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
            return
        self.hub.before(name)
        left, status = self.hub.faults.get((id, name), (1, 0))
        if self.command == "GET" and (id, name) in self.hub.faults:
            self.hub.faults[id, name] = (max(0, left - 1), status)
        if status and not left:
            self._json(status, {"error": ""}, {"X-Error-Code": "EntryNotFound"} if status == 404 else {})
            return
        data = path.read_bytes()
        headers = {
            "X-Repo-Commit": self._commit(kind, id),
            "ETag": f'"{sha256_of(path)}"',
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }
        if name in self.hub.wrong:
            data = data[:-1] + bytes([data[-1] ^ 1])
            self.hub.wrong -= {name} if body else set()
        if wanted := self.headers.get("Range"):
            self.hub.ranges.append(wanted)
            start, stop = re.match(r"bytes=(\d+)-(\d*)", wanted).groups()
            part = slice(int(start), min(int(stop) + 1 if stop else len(data), len(data)))
            headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{len(data)}"
            data = data[part]
        self.send_response(206 if wanted else 200)
        for key, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        if not body:
            return
        if name in self.hub.cut or not left:
            self.hub.cut.discard(name)
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        self.hub.sent[name] += len(data)
        self.wfile.write(data)

    def _json(self, status, value, headers=()):
        data = json.dumps(value).encode()
        self.send_response(status)
        for key, text in dict(headers).items():
            self.send_header(key, text)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _entries(root, names, below, recursive):
    """Files and directories as the hub's tree lists them."""
    found = {}
    for name in names:
        parts = name[len(below) + 1 if below else 0 :].split("/")
        for depth in range(1, len(parts)):
            folder = "/".join([*([below] if below else []), *parts[:depth]])
            if recursive or depth == 1:
                found[folder] = {"type": "directory", "path": folder, "oid": "0" * 40, "size": 0}
        if recursive or len(parts) == 1:
            digest, size = sha256_of(root / name), (root / name).stat().st_size
            found[name] = {
                "type": "file",
                "path": name,
                "oid": digest[:40],
                "size": size,
                "lfs": {"oid": digest, "size": size, "pointerSize": 100},
            }
    return list(found.values())


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serves the hub on a free port of the loopback while the block runs; ``hub.url`` says where."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
