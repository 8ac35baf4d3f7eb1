"""Whatever stdout is and whenever a signal comes, a command ends as the contract says, without a traceback."""

import json
import os
import signal
import subprocess
import sys

import pytest

from vlmbench.foundations.streams import writable

ENCODINGS = ("ascii", "cp1252", "latin-1", "C")
LOCALE_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def vlmbench(*arguments, env=None, **more):
    """A command in a process that starts from nothing."""
    line = [sys.executable, "-m", "vlmbench", *map(str, arguments)]
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONIOENCODING", "PYTHONUTF8")}
    return subprocess.run(line, capture_output=True, check=False, env={**kept, **(env or {})}, **more)


@pytest.fixture(scope="module")
def encoded(command):
    """A command whose stdout has an encoding; the locale C is a process's from its start."""

    def run(name, *arguments):
        return vlmbench(*arguments, env=LOCALE_C) if name == "C" else command(*arguments, encoding=name)

    return run


@pytest.fixture(scope="module")
def made(colours, tmp_path_factory, command):
    """Results whose tables hold a minus, and a probe of a class whose name few encodings hold."""
    root = tmp_path_factory.mktemp("encodings")
    (root / "images").symlink_to(colours, target_is_directory=True)
    names = ["bleu → 藍", "grün", "red"]
    (root / "names.json").write_text(json.dumps(names))
    common = ("-d", f"folder:{root}/images", "-o", root / "out", "--cache-dir", root / "cache", "-q")
    lines = (
        ("zeroshot", "-m", "tiny-clip", "--classnames", root / "names.json", *common),
        ("zeroshot", "-m", "tiny-clip", *common),
        ("linear-probe", "-m", "tiny-clip", *common),
        ("linear-probe", "-m", "pixels", "--save-probe", root / "probe", *common),
    )
    for line in lines:
        done = command(*line)
        assert done.returncode == 0, done.stderr
    done = command("check", "--update", "--baseline", root / "baseline.json", root / "out")
    assert done.returncode == 0, done.stderr
    return root


COMMANDS = (
    ["--help"],
    ["--version"],
    ["zeroshot", "--help"],
    ["list", "models"],
    ["list", "metrics"],
    ["list", "prompts"],
    ["doctor"],
    ["compare", "{}/out", "-o", "{}/tables", "--no-report"],
    ["verify", "{}/out"],
    ["check", "--baseline", "{}/baseline.json", "{}/out"],
    ["predict", "-p", "{}/probe", "{}/images/test/red", "--cache-dir", "{}/cache"],
    ["caption", "-m", "retrieval:tiny-clip", "-d", "scenes", "--limit", "2", "-o", "{}/o", "--cache-dir", "{}/cache"],
)


@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: " ".join(line[:2]))
def test_every_command_prints_in_an_encoding_that_lacks_its_characters(made, line, encoded):
    done = encoded("ascii", *(part.format(made) for part in line))
    assert done.returncode == 0, done.stderr
    assert done.stdout or done.stderr
    assert done.stdout.isascii()
    assert done.stderr.isascii()
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("name", ENCODINGS)
def test_tables_stay_readable_and_files_are_utf_8(made, tmp_path, name, encoded):
    line = ("compare", made / "out", "-o", tmp_path, "--no-report")
    done = encoded(name, *line)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode("ascii" if name == "C" else name)
    assert "zero-shot - " in text, "a minus is written as a hyphen"
    assert ("\\u2212" in text, "−" in text) == (False, False)
    drawn = [row for row in text.splitlines() if row.startswith(("|", "+"))]
    assert drawn
    assert len({len(row) for row in drawn}) < 5, "all lines of a table are as wide as each other"
    assert "zero-shot −" in (tmp_path / "tables" / "classification.md").read_text("utf-8")
    plain = encoded("utf-8", *line)
    assert "zero-shot −" in plain.stdout.decode("utf-8")


@pytest.mark.parametrize("name", ["ascii", "C"])
def test_json_is_the_same_in_every_encoding(made, name, encoded):
    line = ("zeroshot", "-m", "tiny-clip", "-d", f"folder:{made}/images", "--classnames", made / "names.json")
    line = (*line, "-o", made / "out", "--cache-dir", made / "cache", "--json")
    done, usual = encoded(name, *line), encoded("utf-8", *line)
    assert done.returncode == 0, done.stderr
    assert done.stdout == usual.stdout
    json.loads(done.stdout)


@pytest.mark.parametrize("arguments", [["zeroshot", "-m", "tiné-clip", "-d", "x→y"], ["no−such"], ["zeroshot", "--nö"]])
@pytest.mark.parametrize("name", ["ascii", "C"])
def test_errors_too(arguments, name, encoded):
    done = encoded(name, *arguments)
    assert done.returncode in (2, 4)
    said = done.stderr.decode("ascii" if name == "C" else name)
    assert "Traceback" not in said
    assert "rror" in said


def test_what_is_written_in_place_of_what_an_encoding_lacks():
    assert writable("2 − 1 … → × é 藍", "ascii") == r"2 - 1 ... -> x \xe9 \u85cd"
    assert writable("2 − 1 … → × é 藍", "latin-1") == r"2 - 1 ... -> × é \u85cd"
    assert writable("2 − 1 … → × é 藍", "cp1252") == r"2 - 1 … -> × é \u85cd"
    assert writable("2 − 1 … → × é 藍", "utf-8") == "2 − 1 … → × é 藍"
    assert writable("half \ud800 a letter", "utf-8") == r"half \ud800 a letter"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["list", "models"], ["list", "models", "--json"]])
def test_a_closed_stdout_is_said(arguments):
    done = vlmbench(*arguments, preexec_fn=lambda: os.close(1))
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == b"error: stdout is closed"
    assert b"Traceback" not in done.stderr


def test_a_closed_stderr_is_no_fault():
    done = vlmbench("zeroshot", "-m", "no-such-model", "-d", "digits", preexec_fn=lambda: os.close(2))
    assert done.returncode == 4


# a signal at a moment that a clock would seldom hit: when a module is looked for
MEANWHILE = """
import os, runpy, sys
name, number, *line = sys.argv[1:]
class Finder:
    def find_spec(self, asked, path=None, target=None):
        if asked == name:
            os.kill(os.getpid(), int(number))
sys.meta_path.insert(0, Finder())
sys.argv = ["vlmbench", *line]
runpy.run_module("vlmbench", run_name="__main__")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["typer", "vlmbench.cli.zeroshot", "numpy", "torch", "rich.table"])
def test_a_signal_at_any_moment_is_one_line(tmp_path, module, number, default_signals):
    line = ["zeroshot", "-m", "tiny-clip", "-d", "digits", "--limit", "20", "-o", tmp_path / "out"]
    line += ["--cache-dir", tmp_path / "cache"]
    code = [sys.executable, "-c", MEANWHILE, module, str(int(number)), *map(str, line)]
    done = subprocess.run(code, capture_output=True, text=True, check=False, preexec_fn=default_signals)
    assert done.returncode == 128 + number, done.stderr
    *before, said = done.stderr.strip().splitlines()
    assert said == "interrupted; the same command resumes from what was stored"
    assert not [text for text in before if text and not text.startswith("features:")]


def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    line = [sys.executable, "-c", MEANWHILE, "typer", str(int(signal.SIGINT)), "--version"]
    ignore = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)  # noqa: E731 - as nohup and a shell's & do
    done = subprocess.run(line, capture_output=True, text=True, check=False, preexec_fn=ignore)
    assert (done.returncode, done.stderr) == (0, "")
