"""Processes of their own for commands and code, forked from one that has imported the large libraries before.

A fresh process takes seconds to import them, a forked one none. What is imported looks at no variable of the hub's
clients; nothing of vlmbench is. Run as a program it is the process that forks: lines on stdin are jobs; for each its
process id is printed, and when it is done its exit code.
"""

import atexit
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parents[1]
LIBRARIES = "numpy,pandas,PIL.Image,pyarrow.parquet,scipy.stats,scipy.optimize,sklearn.datasets,torch._dynamo"
OFFLINE = LIBRARIES + (
    ",transformers,transformers.models.clip.modeling_clip,transformers.models.auto,tokenizers,typer,rich.table,"
    "rich.progress,pydantic,safetensors.numpy,filelock,jinja2"
)
"""Those whose imports look at the hub's variables too."""
COMMAND = "import sys; sys.argv[0] = 'vlmbench'; from vlmbench.__main__ import main; main()"


def command(*words, path=(), env=None, cwd=None, encoding=None):
    """A vlmbench command, offline; gives returncode, stdout and stderr, these as bytes where an encoding is asked for.

    Args:
        words: after ``vlmbench``.
        path: directories that come first where modules and installed packages are looked for.
        env: variables besides this process's.
        cwd: where it runs.
        encoding: of its stdout and stderr, as ``PYTHONIOENCODING`` makes it.
    """
    how = {"path": [*map(str, path), str(ROOT)], "cwd": cwd, "encoding": encoding, "libraries": OFFLINE}
    return python(COMMAND, {**os.environ, "HF_HUB_OFFLINE": "1", **(env or {})}, *map(str, words), **how)


def python(code, env, *arguments, given="", terminal="", meanwhile=lambda process: None, path=(), cwd=None,
           encoding=None, libraries=LIBRARIES):  # fmt: skip
    """Runs code; a signal that ends it gives a negative returncode.

    `given` is its stdin, or `terminal` (a device's path) all three streams; `meanwhile` is called with its process id.
    """
    with tempfile.TemporaryDirectory() as name:
        files = [Path(terminal or Path(name, stream)) for stream in ("in", "out", "err")]
        if not terminal:
            files[0].write_text(given, "utf-8")
        if sys.platform == "linux":
            job = {"code": code, "env": env, "arguments": arguments, "files": list(map(str, files)), "path": list(path)}
            parent = _parent(libraries)
            print(json.dumps({**job, "cwd": str(cwd or Path.cwd()), "encoding": encoding}), file=parent.stdin)
            meanwhile(int(parent.stdout.readline()))
            status = int(parent.stdout.readline())
        else:
            more = {"PYTHONPATH": os.pathsep.join([*path, *filter(None, [env.get("PYTHONPATH")])])}
            more |= {"PYTHONIOENCODING": encoding or "utf-8"}
            with files[0].open() as take, files[1].open("w") as out, files[2].open("w") as err:
                line = [sys.executable, "-c", code, *arguments]
                process = subprocess.Popen(line, env={**env, **more}, stdin=take, stdout=out, stderr=err, cwd=cwd)
                meanwhile(process.pid)
                status = process.wait(300)
        said = [b"" if terminal else file.read_bytes() for file in files[1:]]
        stdout, stderr = (text if encoding else text.decode("utf-8") for text in said)
        return SimpleNamespace(returncode=status, stdout=stdout, stderr=stderr)


@cache
def _parent(libraries):
    """The process that forks for each job, as long as the tests run."""
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, __file__, libraries], env=env, text=True, bufsize=1, **pipes)
    atexit.register(process.stdin.close)
    return process


def _run(job):
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # as a command has them that was not started in the background
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(job["env"])
    os.chdir(job["cwd"])
    sys.path[:1] = job["path"] or [""]
    for stream, (name, flags) in enumerate(
        zip(job["files"], (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT), strict=True)
    ):
        os.dup2(os.open(name, flags, 0o600), stream)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(at, mode, closefd=False, encoding=job["encoding"] or "utf-8") for at, mode in enumerate("rww")
    )
    sys.argv = ["-c", *job["arguments"]]
    code = 0
    try:
        exec(compile(job["code"], "<job>", "exec"), {"__name__": "__main__"})  # noqa: S102 - the tests' own code
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _serve(libraries):
    for name in libraries.split(","):
        importlib.import_module(name)
    loaded = {name.partition(".")[0] for name in sys.modules}
    assert libraries == OFFLINE or not loaded & {"huggingface_hub", "datasets", "transformers"}, loaded
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run(json.loads(line))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1])
