"""Machines that are not like the developer's: offline, without home, few descriptors, little memory, odd places.

Each case runs commands in processes of their own, with what a machine lacks taken away; figures stay the same.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
linux = pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")

GUARD = """
import socket, sys
class Refused(BaseException):
    pass
def no(self, address, *more):
    if self.family != getattr(socket, "AF_UNIX", None):
        print("a socket was opened:", address, file=sys.stderr, flush=True)
        raise Refused(str(address))
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = no
real = socket.getaddrinfo
def lookup(host, *more, **named):
    print("a name was looked up:", host, file=sys.stderr, flush=True)
    raise Refused(str(host))
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = lookup
"""
"""A ``sitecustomize`` under which no process reaches a network; `Refused` is caught by no ``except Exception``."""


@dataclass
class Machine:
    """A machine: what differs from this one.

    Attributes:
        root: where its files are.
        environment: variables, other than this process's.
        without: variables that it has not.
        limits: ``resource`` limits by name.
        before: a program that starts the command, ``taskset`` …
    """

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    limits: dict[str, int] = field(default_factory=dict)
    before: tuple[str, ...] = ()

    def run(self, *arguments: object, code: int = 0) -> str:
        """Runs a command; gives what it said, without a traceback."""
        kept = {name: value for name, value in os.environ.items() if name not in self.without}
        kept |= {"OMP_NUM_THREADS": "1"} | self.environment

        def limit() -> None:
            for name, value in self.limits.items():
                resource.setrlimit(getattr(resource, name), (value, value))

        done = subprocess.run(
            [*self.before, sys.executable, "-m", "vlmbench", *map(str, arguments)],
            env=kept, cwd=self.root, preexec_fn=limit, stdin=subprocess.DEVNULL, capture_output=True, timeout=500,
        )  # fmt: skip
        said = (done.stdout + b"\n" + done.stderr).decode("utf-8", "backslashreplace")
        assert done.returncode == code, said
        assert "Traceback" not in said
        return said


def write_captions(root: Path) -> None:
    references = {str(n): [f"a {c} dog on the grass", f"there is a {c} dog"] for n, c in enumerate(["red", "blue"] * 4)}
    (root / "references.json").write_text(json.dumps(references))
    (root / "candidates.json").write_text(json.dumps({name: own[0] for name, own in references.items()}))


def captions(metrics: str = "bleu,rouge_l,cider") -> list[str]:
    line = ["caption-eval", "-r", "references.json", "-p", "candidates.json", "--metrics", metrics]
    return [*line, "--resamples", "100", "-o", "out", "--cache-dir", "cache"]


SHOWING = (["compare", "out", "-o", "tables"], ["check", "--update", "--baseline", "b.json", "out"],
           ["check", "--baseline", "b.json", "out"], ["verify", "out"], ["list", "datasets"],
           ["doctor", "--cache-dir", "cache"], ["--help"])  # fmt: skip
ZERO = ["zeroshot", "-m", "tiny-clip", "-d", "digits", "--limit", "40", "-o", "out", "--cache-dir", "cache"]


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an ordinary machine writes: ``result.json`` by run."""
    root = tmp_path_factory.mktemp("usual")
    write_captions(root)
    Machine(root).run(*captions())
    Machine(root).run(*ZERO)
    return results(root)


def results(root: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in root.glob("out/runs/*/result.json")}


MACHINES: dict[str, Callable[[Path], Machine]] = {
    "no home": lambda root: Machine(root, without=("HOME", "XDG_CACHE_HOME", "HF_HOME")),
    "a home that is no directory": lambda root: Machine(root, {"HOME": "/dev/null"}, without=("XDG_CACHE_HOME",)),
    "no temporary directory": lambda root: Machine(root, {"TMPDIR": "/nonexistent", "TMP": "/dev/null"}),
    "LANG=C": lambda root: Machine(root, {"LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}),
    "Turkish": lambda root: Machine(root, {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}),
    "20 columns": lambda root: Machine(root, {"COLUMNS": "20"}),
    "a dumb terminal": lambda root: Machine(root, {"TERM": "dumb"}, without=("COLUMNS",)),
    "64 descriptors": lambda root: Machine(root, limits={"RLIMIT_NOFILE": 64}),
    "one core": lambda root: Machine(root, before=("taskset", "-c", "0")),
    "no Java": lambda root: Machine(root, {"PATH": str(Path(sys.executable).parent)}, without=("JAVA_HOME",)),
    "nothing beside the results may be written": lambda root: Machine(
        root, {"PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": "/dev/null/x", "MPLCONFIGDIR": "/dev/null/x"}
    ),
}


@linux
@pytest.mark.parametrize("name", MACHINES)
def test_figures_are_the_same_everywhere(name: str, usual: dict[str, bytes], tmp_path: Path) -> None:
    machine = MACHINES[name](tmp_path)
    if machine.before and shutil.which(machine.before[0]) is None:
        pytest.skip(f"no {machine.before[0]} on this machine")
    write_captions(tmp_path)
    machine.run(*captions())
    machine.run(*ZERO)
    assert results(tmp_path) == usual
    if name in ("LANG=C", "20 columns", "64 descriptors", "a dumb terminal"):
        for line in SHOWING:
            machine.run(*line)


@linux
def test_places_with_spaces_and_umlauts(usual: dict[str, bytes], tmp_path: Path) -> None:
    root = tmp_path / "Eigene Dateien — größer 🙂"
    root.mkdir()
    write_captions(root)
    machine = Machine(root, {"HOME": str(root), "TMPDIR": str(root)})
    machine.run(*captions())
    machine.run(*ZERO)
    assert results(root) == usual
    for line in SHOWING:
        machine.run(*line)


@linux
def test_two_gigabytes_of_address_space(usual: dict[str, bytes], tmp_path: Path) -> None:
    """Captions need no more; torch, where it does not fit, is missed in one sentence."""
    write_captions(tmp_path)
    machine = Machine(tmp_path, limits={"RLIMIT_AS": 2 * 1024**3})
    machine.run(*captions())
    name = next(name for name in usual if name.startswith("caption-eval"))
    assert results(tmp_path)[name] == usual[name]
    for line in SHOWING[:4]:
        machine.run(*line)


@linux
@pytest.mark.parametrize("megabytes", [1000, 900, 700])
def test_too_little_address_space_is_said(megabytes: int, tmp_path: Path) -> None:
    machine = Machine(tmp_path, limits={"RLIMIT_AS": megabytes * 1024**2})
    for line in (ZERO, ["linear-probe", *ZERO[1:]], ["caption", "-m", "tiny-captioner", "-d", "scenes"]):
        assert "error: not enough memory" in machine.run(*line, code=4)
    assert "torch needs" in machine.run("doctor", "--cache-dir", "cache", code=4)


@linux
def test_no_socket_is_opened_offline(tmp_path: Path) -> None:
    """Every command on what is here; the guard is shown to work first."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    path = os.pathsep.join(filter(None, (str(tmp_path / "guard"), os.environ.get("PYTHONPATH"))))
    machine = Machine(tmp_path, {"PYTHONPATH": path, "HF_HUB_OFFLINE": "0"})
    probe = "import socket; socket.create_connection(('127.0.0.1', 9))"
    done = subprocess.run([sys.executable, "-c", probe], env={**os.environ, "PYTHONPATH": path}, capture_output=True)
    assert b"a name was looked up" in done.stderr
    write_captions(tmp_path)
    places = ["-o", "out", "--cache-dir", "cache", "--offline"]
    lines = [
        [*ZERO, "--offline"],
        ["linear-probe", "-m", "tiny-clip", "-d", "digits", "--limit", "60", "--shots", "1,all", *places],
        [*captions(), "--offline"],
        ["caption-eval", "--captioner", "tiny-captioner", "-d", "scenes", "--limit", "4", "--metrics", "bleu", *places],
        ["retrieval", "-m", "tiny-clip", "-d", "scenes", "--limit", "20", *places],
        *SHOWING,
    ]
    for line in lines:
        said = machine.run(*line)
        assert "a socket was opened" not in said
        assert "a name was looked up" not in said
    said = machine.run("zeroshot", "-m", "openai/clip-vit-base-patch32", "-d", "cifar10", *places, code=4)
    assert "a name was looked up" not in said


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_every_interpreter_that_is_here_compiles_the_sources(version: str, tmp_path: Path) -> None:
    """Syntax and warnings only; what else differs between versions needs their own environments."""
    root = Path(__file__).parents[2]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*/bin/python")
    found = [str(path) for path in (shutil.which(f"python{version}"), *pyenv) if path]
    asked = ["-c", f"import sys; sys.exit('{version}' != '%d.%d' % sys.version_info[:2])"]
    python = next((one for one in found if not subprocess.run([one, *asked], capture_output=True).returncode), None)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    folders = [str(root / name) for name in ("vlmbench", "benchmarks")]
    done = subprocess.run(
        [python, "-W", "error", "-m", "compileall", "-q", "-f", *folders],
        env={**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
