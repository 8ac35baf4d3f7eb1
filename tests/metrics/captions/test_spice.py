"""SPICE's driver. Its Java program needs a parser that no package carries, so a stand-in for ``java`` answers here."""

import importlib
import importlib.util
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vlmbench.cli.app import app
from vlmbench.foundations.errors import AbsentError
from vlmbench.metrics.captions import spice
from vlmbench.metrics.captions.java import JavaError

STAND_IN = """#!{python}
import json, sys
arguments = sys.argv[1:]
program = next(place for place, name in enumerate(arguments) if name.endswith("spice-1.0.jar"))
given = json.load(open(arguments[program + 1]))
answer = []
for entry in reversed(given):
    words = set(entry["test"].split())
    best = max(len(words & set(text.split())) / max(1, len(words | set(text.split()))) for text in entry["refs"])
    answer.append({{"image_id": entry["image_id"], "scores": {{"All": {{"f": best if words else None}}}}}})
{twist}
json.dump(answer, open(arguments[arguments.index("-out") + 1], "w"))
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Puts a ``java`` that answers like SPICE, and its jars, in place; ``stand_in("sys.exit(3)")`` twists it."""

    def put(twist: str = "") -> None:
        program = tmp_path / "java"
        program.write_text(STAND_IN.format(python=sys.executable, twist=twist))
        program.chmod(0o755)
        (tmp_path / "lib").mkdir(exist_ok=True)
        for name in spice.PARSERS:
            (tmp_path / "lib" / name).touch()
        monkeypatch.setattr(spice, "java", lambda: str(program))
        monkeypatch.setattr(spice, "jar", lambda *parts: tmp_path / parts[-1])

    return put


def test_scores_come_back_to_their_images(stand_in, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    stand_in()
    references = [["a red dog", "the dog"], ["two cats"], ["a bird"]]
    scores = spice.spice_scores(["the dog", "two red cats", ""], references, tmp_path)
    np.testing.assert_allclose(scores, [1.0, 2 / 3, 0.0])


def test_the_call_and_the_scores_are_pycocoevalcaps_own(  # type: ignore[no-untyped-def]
    stand_in, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own driver, copied beside empty jars so that it fetches nothing, and ours, before the same ``java``."""
    theirs = Path(str(importlib.util.find_spec("pycocoevalcap.spice.spice").origin)).parent  # type: ignore[union-attr]
    stand_in("json.dump({'argv': arguments, 'given': given}, open('heard.json', 'w'))")
    package = tmp_path / "copied"
    (package / "lib").mkdir(parents=True)
    for name in ("spice.py", "get_stanford_models.py"):
        (package / name).write_text((theirs / name).read_text())
    for name in ("__init__.py", "lib/stanford-corenlp-3.6.0.jar"):
        (package / name).touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    candidates, references = ["the dog", "two red cats", ""], [["a red dog", "the dog"], ["two cats"], ["a bird"]]
    driver = importlib.import_module("copied.spice").Spice()
    mean, each = driver.compute_score(dict(enumerate(references)), {k: [text] for k, text in enumerate(candidates)})
    their = json.loads((package / "heard.json").read_text())
    scores = spice.spice_scores(candidates, references, tmp_path / "cache")
    our = json.loads((tmp_path / "heard.json").read_text())
    assert our["given"] == their["given"]
    ways = [{word for word in heard["argv"] if word.startswith("-")} for heard in (our, their)]
    assert {way for way in ways[0] - {*spice._OPENED} if not way.startswith("-Djava.io.tmpdir=")} == ways[1]
    assert math.isnan(mean), "an image without tuples makes their mean NaN"
    np.testing.assert_allclose(scores, [0.0 if math.isnan(one["All"]["f"]) else one["All"]["f"] for one in each])


@pytest.mark.parametrize(
    "twist", ["sys.exit(3)", "answer.pop()", 'answer[0] = "rubbish"', "answer[0]['image_id'] = 99"]
)
def test_a_program_that_goes_wrong_is_said(stand_in, tmp_path: Path, twist: str) -> None:  # type: ignore[no-untyped-def]
    stand_in(twist)
    with pytest.raises(JavaError, match="SPICE"):
        spice.spice_scores(["a", "b"], [["a"], ["b"]], tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the program works on until it is done")
def test_killed_it_takes_its_program_along_and_the_next_run_removes_its_files(  # type: ignore[no-untyped-def]
    stand_in, tmp_path: Path
) -> None:
    stand_in("import os, time; print(os.getpid(), flush=True); os.dup2(2, 1); time.sleep(60)")
    code = (
        "from pathlib import Path; from vlmbench.metrics.captions import spice; import subprocess\n"
        f"here = Path({str(tmp_path)!r})\n"
        "spice.java, spice.jar = lambda: str(here / 'java'), lambda *p: here / p[-1]\n"
        "run = subprocess.run; subprocess.run = lambda *a, **k: run(*a, **{**k, 'capture_output': False})\n"
        "spice.spice_scores(['a'], [['a']], here / 'cache')"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        program = int(running.stdout.readline())
        running.kill()
    until = time.monotonic() + 10
    while (alive := _runs(program)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive
    assert len(list((tmp_path / "cache" / "spice").glob(".tmp-*"))) == 1
    stand_in()
    spice.spice_scores(["a"], [["a"]], tmp_path / "cache")
    assert not list((tmp_path / "cache" / "spice").glob(".tmp-*"))


def _runs(process: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False


def test_without_its_parser_the_metric_is_left_out_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spice, "java", lambda: "java")
    monkeypatch.setattr(spice, "jar", lambda *parts: tmp_path / "empty" / parts[-1])
    with pytest.raises(AbsentError, match="stanford-corenlp"):
        spice.spice_scores(["a"], [["a"]], tmp_path)
    done = _command(tmp_path)
    assert done.exit_code == 0, done.output
    (result,) = json.loads(done.stdout)["results"]
    assert "spice" not in result["metrics"]
    record = json.loads((Path(result["path"]) / "result.json").read_text())
    assert "get_stanford_models" in record["detail"]["left_out"]["spice"]
    alone = _command(tmp_path, "spice")
    assert alone.exit_code == 4
    assert "get_stanford_models()" in alone.output


def test_the_command_puts_it_beside_the_others(stand_in, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    stand_in()
    done = _command(tmp_path)
    assert done.exit_code == 0, done.output
    (result,) = json.loads(done.stdout)["results"]
    assert 0 < result["metrics"]["spice"]["value"] <= 1
    verified = CliRunner().invoke(app, ["verify", str(tmp_path / "out")])
    assert verified.exit_code == 0, verified.output


def _command(tmp_path: Path, metrics: str = "cider,spice"):  # type: ignore[no-untyped-def]
    (tmp_path / "references.json").write_text(json.dumps({"1": ["a red dog", "the dog"], "2": ["two cats"]}))
    (tmp_path / "mine.json").write_text(json.dumps({"1": "the dog", "2": "two red cats"}))
    command = [
        "caption-eval",
        "-r",
        str(tmp_path / "references.json"),
        "-p",
        str(tmp_path / "mine.json"),
        "--json",
        "-q",
    ]
    command += ["--metrics", metrics, "-o", str(tmp_path / "out"), "--cache-dir", str(tmp_path / "cache")]
    return CliRunner().invoke(app, command)
