"""vlmbench in a process of its own, with the hub's real clients pointed at a hub on loopback."""

import importlib.util
import json
import os
from pathlib import Path
from types import SimpleNamespace

_spec = importlib.util.spec_from_file_location("hub_processes", Path(__file__).parents[1] / "processes.py")
_processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_processes)

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
import vlmbench.session.features
from vlmbench.cli.app import app
given = json.load(sys.stdin)
vlmbench.session.features.ROWS = given["rows"] or vlmbench.session.features.ROWS
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
from vlmbench.captioners.checkpoint import find_checkpoint
from vlmbench.data.open import open_dataset
from vlmbench.encoders.models import find_model
from vlmbench.encoders.names import parse_model
from vlmbench.foundations.errors import VlmbenchError
cache = Path(sys.argv[1])
for spec in sys.argv[2:]:
    try:
        if spec.startswith("hf:"):
            info = open_dataset(spec, cache).info
            print(json.dumps({"spec": spec, "code": 0, "revision": info.revision}))
        elif spec.startswith("captioner:"):
            found = find_checkpoint(spec.removeprefix("captioner:"), cache)
            print(json.dumps({"spec": spec, "code": 0, "revision": found.revision}))
        else:
            print(json.dumps({"spec": spec, "code": 0, "revision": find_model(parse_model(spec), cache).revision}))
    except VlmbenchError as error:
        print(json.dumps({"spec": spec, "code": error.exit_code, "what": error.what, "fix": error.fix}))
"""
_READ = (
    _KEPT
    + """
import json, sys, time
from pathlib import Path
from vlmbench.data.base import choose_split
from vlmbench.data.fingerprint import fingerprint, image_digest
from vlmbench.data.loading import load
from vlmbench.data.hub import ranges, space
from vlmbench.data.open import open_dataset
from vlmbench.foundations.errors import VlmbenchError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.progress import Silent
sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.01))  # the clients wait for minutes before they give up
given = json.load(sys.stdin)
ranges.BLOCK = given["block"] or ranges.BLOCK
for spec, reserve in given["specs"]:
    space.RESERVE = reserve
    reporter, read, found = Silent(), 0, {"spec": spec}
    try:
        data = open_dataset(spec, Path(given["cache"]), reporter)
        split = data.split(choose_split(data.info, None))
        for item in load(split, range(len(split)), lambda image, _: image.tobytes(), workers=4, ahead=8):
            read += 1
        rows = [split.ids, split.labels.tolist(), split.captions, data.info.classnames, data.info.templates]
        bytes_of = [image_digest(split.images.read(row)) for row in range(len(split))]
        found |= {"code": 0, "rows": digest(rows), "images": digest(bytes_of), "n": len(split)}
        found |= {"fingerprint": fingerprint(split, Path(given["cache"]), reporter)}
        found |= {"split": split.name, "splits": data.info.splits, "metric": data.info.metric}
        found |= {"classes": len(data.info.classnames), "templates": len(data.info.templates)}
        found |= {"multilabel": split.labels.ndim == 2, "captions": split.captions}
        found |= {"revision": data.info.revision, "labels": split.labels.tolist(), "ids": split.ids}
    except VlmbenchError as error:
        found |= {"code": error.exit_code, "what": error.what, "fix": error.fix}
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


def together(hub, tmp_path, *commands, rows=None, meanwhile=lambda process: None, **more):
    """Commands one after the other in one process, which imports torch once.

    Each gives returncode, stdout, stderr and kept, the data files in the clients' caches after it. `meanwhile` is
    called with the process's id once it runs; where it ends by a signal, there is one result with that.
    """
    given = json.dumps({"rows": rows, "commands": commands})
    done = _python(_MANY, environment(hub, tmp_path, **more), given=given, meanwhile=meanwhile)
    if done.returncode < 0:
        return [done]
    return [SimpleNamespace(**one) for one in json.loads(done.stdout)]


def outcomes(hub, tmp_path, *specs, **more):
    """What becomes of each model or dataset that is opened: code and revision, or the error, by its name."""
    return {line["spec"]: line for line in in_turn(hub, tmp_path, *specs, **more)}


def in_turn(hub, tmp_path, *specs, **more):
    """The same in a list, for names that are opened again and again."""
    done = _python(_OPEN, environment(hub, tmp_path, **more), str(tmp_path / "cache"), *specs)
    return list(map(json.loads, done.stdout.splitlines()))


def reads(hub, tmp_path, *specs, block=None, **more):
    """What becomes of each dataset whose every image is read and decoded: digests of what was read, or the error.

    Instead of a name it can be a name and the bytes of the disk that are to stay free. `block` is how many bytes of a
    tar are asked for at a time.
    """
    pairs = [(spec, 0) if isinstance(spec, str) else spec for spec in specs]
    given = json.dumps({"specs": pairs, "cache": str(tmp_path / "cache"), "block": block})
    done = _python(_READ, environment(hub, tmp_path, USE_TORCH="0", **more), given=given)  # else `datasets` imports it
    return list(map(json.loads, done.stdout.splitlines()))


def _python(code, env, *arguments, given="", meanwhile=lambda process: None):
    """Runs code in a process of its own; a signal ends it where it may, an error does not."""
    done = _processes.python(code, env, *arguments, given=given, meanwhile=meanwhile)
    assert done.returncode <= 0, done.stderr
    return done
