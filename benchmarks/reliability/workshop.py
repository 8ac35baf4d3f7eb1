"""Commands that are disturbed from outside: killed at a moment, or with a disk that fails at a chosen call.

A `Workshop` runs the command line as its users do, in processes of its own. So that hundreds of runs are affordable,
most of them are forked from a process that has imported the large libraries, and nothing of vlmbench, before.
"""

import argparse
import contextlib
import hashlib
import json
import mmap
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self

ROOT = Path(__file__).parents[2]
SHARED = "shared"
"""The directory that is the shared cache, where a command has one."""
TRACE, ONCE, FROM_HERE, KILL, SLOW = range(5)
_FIELDS, _TEXT = struct.Struct("<6q"), 2048

_SERVER = """
import contextlib, gc, importlib, json, os, runpy, signal, sys
for name in sys.argv[1].split(","):
    with contextlib.suppress(Exception):
        importlib.import_module(name)
gc.collect()
gc.freeze()  # else a child's first collection copies all that the libraries allocated
print("ready", flush=True)
for line in sys.stdin:
    case = json.loads(line)
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        continue
    os.setsid()
    os.chdir(case["cwd"])
    for number, name in ((0, os.devnull), (1, case["stdout"]), (2, case["stderr"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644), number)
    os.environ.update(case["env"])
    sys.argv = ["vlmbench", *case["line"]]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    break
else:
    os._exit(0)
runpy.run_module("vlmbench", run_name="__main__", alter_sys=True)
"""
LIBRARIES = (
    "numpy,scipy.stats,scipy.optimize,scipy.sparse,pyarrow.parquet,pandas,pydantic,typer,rich.table,rich.progress,"
    "PIL.Image,safetensors.numpy,filelock,jinja2,sklearn.datasets"
)
VLMBENCH = ",".join(
    f"vlmbench.{path.relative_to(ROOT / 'vlmbench').with_suffix('').as_posix().replace('/', '.')}"
    for path in sorted((ROOT / "vlmbench").rglob("*.py"))
    if not path.name.startswith("__")
)
"""Every module of vlmbench, where the moments before its import do not matter: a second less for each command."""
TORCH = LIBRARIES + ",torch,transformers,transformers.models.clip.modeling_clip,transformers.models.auto,tokenizers"


@dataclass(frozen=True)
class Done:
    """How a run ended.

    Attributes:
        code: exit code; negative: the signal that ended it.
        said: what stands on stderr.
        orphans: processes that it left behind, still there after `PATIENCE` seconds.
        printed: what stands on stdout.
    """

    code: int
    said: str
    orphans: int = 0
    seconds: float = 0.0
    printed: str = ""


PATIENCE = 5.0


def build_faults(folder: Path) -> Path | None:
    """The library of ``faults.c``, compiled into `folder`; none where there is no C compiler or no Linux."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or compiler is None:
        return None
    library = folder / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


class Faults:
    """The state that ``faults.c`` maps: what is to happen at which call below `root`."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.path, self.log, self.root = folder / "faults.state", folder / "faults.log", root
        self.path.write_bytes(bytes(_FIELDS.size + 2 * _TEXT))
        with open(self.path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)

    def set(self, action: int, nth: int = 0, error: int = 0, delay: float = 0.0) -> None:
        """From now on: the next process's `nth` call fails with `error`, or what else `action` says."""
        self.log.unlink(missing_ok=True)
        texts = b"".join(os.fsencode(text).ljust(_TEXT, b"\0") for text in (self.root, self.log))
        self._memory[:] = _FIELDS.pack(0, nth, error, action, 0, int(delay * 1e6)) + texts

    def off(self) -> None:
        """Nothing is counted any more."""
        self._memory[:] = bytes(len(self._memory))

    @property
    def count(self) -> int:
        """Calls so far."""
        return int(_FIELDS.unpack_from(self._memory)[0])

    @property
    def fired(self) -> bool:
        """Whether the chosen call came."""
        return bool(_FIELDS.unpack_from(self._memory)[4])

    def calls(self) -> list[tuple[str, str, str]]:
        """What was called so far: call, path and, of a rename, its new path, both below `root`."""
        if not self.log.exists():
            return []
        rows = [line.split("\t") for line in self.log.read_text("utf-8", "surrogateescape").splitlines()]
        return [(call, *(name.removeprefix(f"{self.root}/") for name in (path, to))) for _, call, path, to in rows]


class Workshop:
    """A directory in which commands run, and the process they are forked from.

    Args:
        folder: for everything; commands run in ``folder/work``.
        libraries: what the process that is forked has imported.
        faults: whether the disk can be made to fail.
    """

    def __init__(self, folder: Path, libraries: str = TORCH, *, faults: bool = False) -> None:
        self.folder, self.work, self.temporary = folder, folder / "work", folder / "tmp"
        for directory in (self.work, self.temporary):
            directory.mkdir(parents=True, exist_ok=True)
        self.env = {
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "COLUMNS": "200",
            "TMPDIR": str(self.temporary),
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
            "VLMBENCH_CACHE_DIR": str(self.work / "cache"),
        }
        self.faults: Faults | None = None
        if faults:
            library = build_faults(folder)
            if library is None:
                raise RuntimeError("disk faults need Linux and a C compiler")
            self.faults = Faults(folder, self.work)
            self.env |= {"LD_PRELOAD": str(library), "FAULTS_STATE": str(self.faults.path)}
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVER, libraries],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.env},
        )
        if self._line() != "ready":
            raise RuntimeError("the process that commands are forked from did not start")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stdin.close()
        self._server.wait(PATIENCE)
        self._server.stdout.close()

    def run(self, line: Sequence[str], *, kill: float | None = None, number: int = signal.SIGKILL) -> Done:
        """Runs a command in a forked process; after `kill` seconds it gets the signal `number`."""
        outputs = {"stdout": str(self.folder / "stdout"), "stderr": str(self.folder / "stderr")}
        case = {"line": list(map(str, line)), "cwd": str(self.work), "env": {}, **outputs}
        self._server.stdin.write(json.dumps(case) + "\n")
        self._server.stdin.flush()
        pid, started = int(self._line()), time.perf_counter()
        if kill is not None:
            time.sleep(kill)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        code = int(self._line())
        took = time.perf_counter() - started
        printed, said = (Path(outputs[name]).read_text("utf-8", "replace") for name in ("stdout", "stderr"))
        return Done(code, said, _left(pid), took, printed)

    def fresh(
        self, line: Sequence[str], *, kill: float | None = None, number: int = signal.SIGKILL, redirection: str = ""
    ) -> Done:
        """The same in a process that starts from nothing, as a shell starts it."""
        started = time.perf_counter()
        process = self.start(line, self.folder / "stderr", redirection)
        if kill is not None:
            time.sleep(kill)
            process.send_signal(number)
        code = process.wait()
        took = time.perf_counter() - started
        return Done(code, (self.folder / "stderr").read_text("utf-8", "replace"), _left(process.pid), took)

    def start(self, line: Sequence[str], stderr: Path, redirection: str = "") -> subprocess.Popen[bytes]:
        """Starts a command as a shell does, what it says going to a file, or what `redirection` says (``>&-``)."""
        command = [sys.executable, "-m", "vlmbench", *map(str, line)]
        with open(stderr, "wb") as said:
            return subprocess.Popen(
                ["sh", "-c", f'exec "$@" {redirection}', "sh", *command] if redirection else command,
                cwd=self.work,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env={**os.environ, **self.env},
                start_new_session=True,
            )

    def begin(self, start: Path | None) -> None:
        """Empties the directory of the commands, then copies `start` there; large files are linked."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir()
        if start is None:
            self.work.mkdir()
        else:
            shutil.copytree(start, self.work, copy_function=_copy, symlinks=True)

    def state(self) -> str:
        """A hash of all that is there, by name and content; temporary files by what is in them."""
        found = sorted(
            (
                re.sub(r"\.tmp-\w+", ".tmp", str(path.relative_to(self.folder))),
                hashlib.sha256(path.read_bytes()).hexdigest(),
            )
            for place in (self.work, self.temporary)
            for path in place.rglob("*")
            if path.is_file() and path.name != "run.json"
        )
        return hashlib.sha256(repr(found).encode()).hexdigest()

    def litter(self) -> list[str]:
        """Temporary files and directories that are left, in the system's temporary directory too."""
        return litter(self.work) + sorted(
            str(path) for path in self.temporary.iterdir() if not path.name.startswith("torchinductor_")
        )  # torch makes that one, once for each user

    def _line(self) -> str:
        line = self._server.stdout.readline()
        if not line:
            raise RuntimeError("the process that commands are forked from has ended")
        return line.strip()


def _copy(source: str, target: str) -> None:
    if os.path.getsize(source) > 2**20:  # noqa: PTH202
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def _left(session: int) -> int:
    """Processes of a session that are still there after `PATIENCE` seconds; these are ended."""
    deadline = time.monotonic() + PATIENCE
    while (found := _members(session)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return len(found)


def _members(session: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def outcome(folder: Path) -> dict[str, bytes]:
    """What was written below a directory and has to be the same each time: all but caches, locks and ``run.json``."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        passing = name.parts[0] in ("cache", SHARED) or path.name == "run.json" or path.name.startswith(".tmp")
        if path.is_file() and not passing:
            found[str(name)] = path.read_bytes()
    return found


def report(cases: Iterator[tuple[str, str]], minutes: float) -> NoReturn:
    """Prints what is wrong with each case as it comes (its command, and what is wrong), then the table.

    Stops after so many minutes, and ends with 1 where anything fell short.
    """
    tried, fell = Counter[str](), Counter[str]()
    until = time.monotonic() + 60 * minutes
    for name, wrong in cases:
        tried[name] += 1
        if tried.total() % 10 == 0:
            print(f"{tried.total()} tried, {fell.total()} fell short", file=sys.stderr, flush=True)
        if wrong:
            fell[name] += 1
            print(f"{name}: {wrong}", file=sys.stderr, flush=True)
        if time.monotonic() > until:
            break
    print(f"{'command':16} {'tried':>6} {'fell short':>11}")
    for name in tried:
        print(f"{name:16} {tried[name]:6} {fell[name]:11}")
    print(f"{'all':16} {tried.total():6} {fell.total():11}")
    sys.exit(1 if fell else 0)


def parser(about: str) -> argparse.ArgumentParser:
    """A parser with the options that every campaign has."""
    found = argparse.ArgumentParser(description=about.splitlines()[0])
    found.add_argument("--seed", type=int, default=0)
    found.add_argument("--minutes", type=float, default=600.0, help="stop after so many")
    found.add_argument("--command", action="append", help="only this command; repeatable")
    return found


def litter(folder: Path) -> list[str]:
    """Temporary files and directories that are left."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".tmp*"))


def stored(cache: Path) -> tuple[int, int]:
    """Images whose features the cache has, each model's counted, and captions it has."""
    images = captions = 0
    for path in cache.glob("features/*/[0-9]*.safetensors"):
        data = path.read_bytes()
        facts = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        images += int(facts["stop"]) - int(facts["start"])
    for path in cache.glob("captions/*/captions.jsonl"):
        for line in path.read_bytes().split(b"\n"):
            try:
                captions += "caption" in json.loads(line)
            except ValueError:
                continue
    return images, captions


def made(said: str) -> tuple[int, int]:
    """Images encoded and captions made, as a command told."""
    found = []
    for pattern in (r"features: ([0-9,]+) \w+ encoded", r"captions: ([0-9,]+) generated"):
        found.append(sum(int(number.replace(",", "")) for number in re.findall(pattern, said)))
    return found[0], found[1]
