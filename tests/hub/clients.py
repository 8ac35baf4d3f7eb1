"""vlmbench in a process of its own, with the hub's real clients pointed at a hub on loopback."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

_KEPT = """
import os
from pathlib import Path
def kept():
    \"\"\"The data files that the hub's clients keep on this machine.\"\"\"
    files = [path for path in Path(os.environ["HF_HOME"]).rglob("*") if path.is_file()]
    small = {path.resolve() for path in files if path.suffix in {".txt", ".lock", ".TAG"}}
    return sorted(path.name for path in files if path.resolve() not in small)
"""
_MANY = (
    _KEPT
    + """
import contextlib, json, sys, tempfile
import vlmbench.runs.session
from vlmbench.cli.app import app
given = json.load(sys.stdin)
vlmbench.runs.session.ROWS = given["rows"] or vlmbench.runs.session.ROWS
found = []
for command in given["commands"]:
    out, err = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")
    sys.argv = ["vlmbench", *command]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = app() or 0
        except SystemExit as stop:
            code = stop.code or 0
    texts = [stream.seek(0) or stream.read() for stream in (out, err)]
    found.append({"returncode": code, "stdout": texts[0], "stderr": texts[1], "kept": kept()})
print(json.dumps(found))
"""
)
_OPEN = """
import json, sys
from pathlib import Path
from vlmbench.data.registry import open_dataset
from vlmbench.encoders.resolve import resolve
from vlmbench.foundations.errors import VlmbenchError
cache = Path(sys.argv[1])
for spec in sys.argv[2:]:
    try:
        if spec.startswith("hf:"):
            info = open_dataset(spec, cache).info
            print(json.dumps({"spec": spec, "code": 0, "revision": info.revision}))
        else:
            print(json.dumps({"spec": spec, "code": 0, "revision": resolve(spec, cache).revision}))
    except VlmbenchError as error:
        print(json.dumps({"spec": spec, "code": error.exit_code, "what": error.what, "mend": error.mend}))
"""
_READ = (
    _KEPT
    + """
import json, sys, time
from pathlib import Path
from vlmbench.data.base import choose_split
from vlmbench.data.fingerprint import fingerprint, image_digest
from vlmbench.data.loading import load
from vlmbench.data import hub_space
from vlmbench.data.registry import open_dataset
from vlmbench.foundations.errors import VlmbenchError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.progress import Silent
sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.01))  # the clients wait for minutes before they give up
given = json.load(sys.stdin)
for spec, reserve in given["specs"]:
    hub_space.RESERVE = reserve
    reporter, read, found = Silent(), 0, {"spec": spec}
    try:
        data = open_dataset(spec, Path(given["cache"]), reporter)
        split = data.split(choose_split(data.info, None))
        for item in load(split, range(len(split)), lambda image: image.tobytes(), workers=4, ahead=8):
            read += 1
        rows = [split.ids, split.labels.tolist(), split.captions, data.info.classnames, data.info.templates]
        bytes_of = [image_digest(split.images.read(row)) for row in range(len(split))]
        found |= {"code": 0, "rows": digest(rows), "images": digest(bytes_of), "n": len(split)}
        found |= {"fingerprint": fingerprint(split, Path(given["cache"]), reporter)}
    except VlmbenchError as error:
        found |= {"code": error.exit_code, "what": error.what, "mend": error.mend}
    print(json.dumps({**found, "read": read, "notes": reporter.notes, "kept": kept()}))
"""
)


def environment(hub, tmp_path, **more):
    cleared = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "VLMBENCH_", "TRANSFORMERS_"))
    }
    return {**cleared, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "OMP_NUM_THREADS": "1", **more}


def command(tmp_path, *arguments):
    """The arguments of one command that keeps everything under `tmp_path`."""
    return [str(part) for part in (*arguments, "-o", tmp_path / "out", "--cache-dir", tmp_path / "cache", "--json")]


def together(hub, tmp_path, *commands, rows=None, **more):
    """Commands one after the other in one process, which imports torch once.

    Each gives returncode, stdout, stderr and kept, the data files in the clients' caches after it.
    """
    with started(hub, tmp_path, **more) as running:
        out, err = running.communicate(json.dumps({"rows": rows, "commands": commands}), timeout=300)
    assert running.returncode == 0, err
    return [SimpleNamespace(**one) for one in json.loads(out)]


def started(hub, tmp_path, **more):
    """The process of `together`, waiting for its commands."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([sys.executable, "-c", _MANY], env=environment(hub, tmp_path, **more), text=True, **pipes)


def outcomes(hub, tmp_path, *specs, **more):
    """What becomes of each model or dataset that is opened: code and revision, or the error, by its name."""
    return {line["spec"]: line for line in in_turn(hub, tmp_path, *specs, **more)}


def in_turn(hub, tmp_path, *specs, **more):
    """The same in a list, for names that are opened again and again."""
    done = _python(_OPEN, environment(hub, tmp_path, **more), str(tmp_path / "cache"), *specs)
    return list(map(json.loads, done.stdout.splitlines()))


def reads(hub, tmp_path, *specs, **more):
    """What becomes of each dataset whose every image is read and decoded: digests of what was read, or the error.

    Instead of a name it can be a name and the bytes of the disk that are to stay free.
    """
    pairs = [(spec, 0) if isinstance(spec, str) else spec for spec in specs]
    given = json.dumps({"specs": pairs, "cache": str(tmp_path / "cache")})
    done = _python(_READ, environment(hub, tmp_path, USE_TORCH="0", **more), given=given)  # else `datasets` imports it
    return list(map(json.loads, done.stdout.splitlines()))


def _python(code, env, *arguments, given=""):
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=env, input=given, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done
