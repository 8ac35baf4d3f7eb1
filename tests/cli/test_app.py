import errno
import os
import re
import shlex
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from vlmbench.cli.app import app, guarded, load
from vlmbench.cli.commands import COMMANDS
from vlmbench.cli.help import examples
from vlmbench.foundations import errors


def modules_after(code):
    script = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


def test_the_help_page_imports_nothing_heavy():
    loaded = modules_after("import vlmbench.cli.app")
    assert "typer" in loaded
    assert not loaded & {
        "torch",
        "numpy",
        "pandas",
        "pyarrow",
        "transformers",
        "datasets",
        "sklearn",
        "matplotlib",
        "scipy",
        "httpx2",
        "huggingface_hub",
        "filelock",
    }


@pytest.mark.parametrize(
    "module", ["tasks.captions.captioned", "tasks.captions.captioners", "session.session", "tasks.zeroshot"]
)
def test_what_finds_models_and_stored_work_does_not_import_torch(module):
    assert "torch" not in modules_after(f"import vlmbench.{module}")


@pytest.mark.parametrize(
    ("typed", "meant"), [("--modle", "--model"), ("--prompt", "--prompts"), ("--limt=2", "--limit")]
)
def test_of_a_mistyped_option_the_nearest_is_named(typed, meant):
    done = CliRunner().invoke(app, ["zeroshot", typed])
    assert done.exit_code == 2
    assert f"did you mean {meant}?" in done.stderr


@pytest.mark.parametrize("arguments", [["no-such-command"], ["--no-such-option"]])
def test_a_mistyped_command_or_option_is_usage(arguments, command):
    done = command(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(("typed", "meant"), [("zero-shot", "zeroshot"), ("captions", "caption"), ("lists", "list")])
def test_of_a_mistyped_command_the_nearest_is_named(typed, meant, command):
    done = command(typed)
    assert done.returncode == 2
    assert f"did you mean {meant}" in done.stderr


@pytest.mark.parametrize(
    ("line", "expected", "not_expected"),
    [
        ("zeroshot -m tiny-", "tiny-clip", "pixels"),
        ("linear-probe -d dig", "digits", "shapes"),
        ("zeroshot --prompts default,cl", "default,clip80", "default"),
        ("linear-probe --head lo", "logistic", "clap"),
        ("caption-eval --metrics bleu_1,ci", "bleu_1,cider", "accuracy"),
        ("linear-probe --solver n", "native", "sklearn"),
        ("zer", "zeroshot", "list"),
    ],
)
def test_a_shell_completes_names(line, expected, not_expected, monkeypatch):
    words = ["vlmbench", *line.split()]
    monkeypatch.setenv("COMP_WORDS", " ".join(words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    monkeypatch.setenv("_VLMBENCH_COMPLETE", "complete_bash")
    found = CliRunner().invoke(app, [], prog_name="vlmbench").stdout.split()
    assert expected in found
    assert not_expected not in found


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("zeroshot -m tny-clip -d digits", "tiny-clip"),
        ("zeroshot -m tiny-clip -d digts", "digits"),
        ("zeroshot -m tiny-clip -d digits --prompts clp80", "clip80"),
        ("zeroshot -m tiny-clip -d digits --metric acuracy", "accuracy"),
        ("linear-probe -m tiny-clip -d digits --head logisitc", "logistic"),
        ("caption -m tiny-captoner -d scenes", "tiny-captioner"),
        ("caption-eval -r x.json -p y.json --metrics cidr", "cider"),
    ],
)
def test_of_a_mistyped_name_the_nearest_is_named(line, meant, tmp_path):
    done = CliRunner().invoke(app, [*line.split(), "-o", str(tmp_path), "--cache-dir", str(tmp_path)])
    assert done.exit_code in (2, 4)
    assert f"did you mean {meant}" in " ".join(done.stderr.split())


def page(name, monkeypatch, columns=100):
    monkeypatch.setenv("COLUMNS", str(columns))
    return CliRunner().invoke(app, [*name.split(), "--help"]).stdout


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_help_of_a_command_is_whole_and_its_examples_parse(name, monkeypatch):
    built = load(name)
    found = examples(built.docstring)
    assert found
    for line in found:
        program, command, *words = shlex.split(line)
        assert (program, command) == ("vlmbench", name)
        load(name).make_context(name, words)
    shown = page(name, monkeypatch)
    assert "[bold]" not in shown
    for param in built.params:
        said = getattr(param, "help", None) or ""
        assert said, param.name
        for part in re.split(r"\{[a-z]+ metrics\}", said):
            assert "".join(part.split()) in "".join(shown.split()), param.name
        assert param.param_type_name == "argument" or param.opts[-1] in shown
    words = {word for line in shown.splitlines() for word in line.split()}
    narrow = page(name, monkeypatch, 40)
    cut = {word for line in narrow.splitlines() for word in line.split()} - words - {"\\"}
    assert cut == set(), "no word is broken on a narrow terminal"
    assert max(len(line) for line in narrow.splitlines() if " " in line.strip()) < 76


def test_a_flag_has_no_type_and_brackets_are_no_markup(monkeypatch):
    shown = page("linear-probe", monkeypatch)
    assert "<bool>" not in shown
    assert "\n  -q, --quiet  " in shown
    for words in ("[x_val y_val]", "hf:owner/name[:config]", "(vlmbench-eval[openvino])"):
        assert words in " ".join(shown.split())
    assert "{id: [caption, …]}" in page("caption-eval", monkeypatch)
    assert "vlmbench demo" in page("", monkeypatch)


@pytest.mark.parametrize("line", [["--help"], ["linear-probe", "--help"], ["--version"]])
def test_a_help_page_whose_reader_has_gone_ends_with_0(line):
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "vlmbench", *line], stdout=write, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


PRINTING = """
from vlmbench.cli.app import guarded
from vlmbench.cli.console import print_json, print_table
def command():
    for _ in range(3000):
        {}
    open({!r}, "w").close()
    return 1
import typer
one = typer.Typer()
one.command()(guarded(command))
one()
"""


@pytest.mark.parametrize("line", ["print_json({'a': 'b' * 80})", "print_table('a title', ['a'], [['b']])"])
def test_a_command_whose_reader_has_gone_comes_to_its_end_with_its_own_exit_code(tmp_path, line):
    script = PRINTING.format(line, str(tmp_path / "end"))
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as going:
        going.stdout.readline()
        going.stdout.close()
        assert going.stderr.read() == ""
    assert going.returncode == 1
    assert (tmp_path / "end").exists()


def end_of(raised):
    app = typer.Typer()

    def command() -> None:
        if raised is not None:
            raise raised

    app.command()(guarded(command))
    return CliRunner().invoke(app, [])


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (None, 0),
        (errors.UsageError("x"), 2),
        (errors.InputError("x"), 3),
        (errors.OutputError("x"), 3),
        (errors.AbsentError("x"), 4),
        (KeyboardInterrupt(), 130),
        (OSError(errno.ENOSPC, "No space left on device"), 3),
        (OSError(errno.EBADF, "Bad file descriptor"), 70),
        (ZeroDivisionError("x"), 70),
    ],
)
def test_every_end_has_its_exit_code(raised, code, monkeypatch, tmp_path):
    monkeypatch.setenv("VLMBENCH_CACHE_DIR", str(tmp_path))
    result = end_of(raised)
    assert result.exit_code == code
    assert "Traceback" not in result.output


def test_a_fault_leaves_a_log_and_says_where(monkeypatch, tmp_path):
    monkeypatch.setenv("VLMBENCH_CACHE_DIR", str(tmp_path))
    result = end_of(ZeroDivisionError("the reason"))
    [log] = (tmp_path / "logs").iterdir()
    assert str(log) in result.output.replace("\n", "")
    assert "the reason" in log.read_text()


def test_the_help_of_a_command_loads_no_task():
    """Names of metrics are looked up for it, and nothing that runs anything."""
    code = "from vlmbench.cli.app import load; load('zeroshot').main(['--help'], standalone_mode=False); import sys; "
    code += "print([name for name in ('torch', 'scipy', 'pydantic', 'vlmbench.session') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
