"""What starting loads: a help page and the scoring of files import the modules they use, and no others."""

import json
import subprocess
import sys

import pytest

from vlmbench.cli.commands import COMMANDS

HELP = ("cli", "foundations")
"""The packages that a help page needs."""
METRIC_NAMES = ("api.choices", "metrics")
"""Where the names of metrics come from that some help pages have."""
NOT_FOR_FILES = (
    *("captioners", "encoders", "features", "heads", "hub", "session.session", "session.features", "session.images"),
    *(
        "data.hub",
        "data.views.boxes",
        "data.views.crops",
        "data.local",
        "tasks.probe",
        "tasks.plan",
        "tasks.zeroshot",
        "tasks.retrieval",
    ),
    *("report.gate", "report.verify", "report.page", "report.tables.classification", "report.tables.foreign"),
    *("records.classification", "records.retrieval", "records.agreement"),
)


def loaded(*words):
    """The modules of vlmbench after a command has ended, without the package's name."""
    code = (
        f"import sys; sys.argv = {['vlmbench', *map(str, words)]}\n"
        "from vlmbench.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as error: assert not error.code, error.code\n"
        "print(*(name for name in sys.modules if name.startswith('vlmbench.')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[2] for name in done.stderr.splitlines()[-1].split()} - {"__main__"}


def inside(names, packages):
    return sorted(name for name in names if any(f"{name}.".startswith(f"{package}.") for package in packages))


def test_the_help_page_loads_the_list_of_commands():
    assert loaded("--help") == {"cli", "cli.app", "cli.commands", "cli.help", "cli.settings", "foundations"} | {
        f"foundations.{name}" for name in ("cpu", "errors", "interrupts", "spelling", "streams")
    }


@pytest.mark.parametrize("name", ["zeroshot", "caption-eval", "check", "embed", "run"])
def test_the_help_of_a_command_loads_options_and_names_of_metrics(name):
    names = loaded(name, "--help")
    assert len(names) < 65
    assert names - set(inside(names, (*HELP, *METRIC_NAMES))) <= {"api", "records", "records.registry"}
    assert COMMANDS[name].module.partition(".")[2] in names


def test_scoring_files_loads_no_model_no_dataset_and_no_other_task(tmp_path):
    (tmp_path / "references.json").write_text(json.dumps({1: ["a dog runs"], 2: ["two cats sleep"]}))
    (tmp_path / "candidates.json").write_text(json.dumps({1: "a dog", 2: "cats"}))
    files = ("-r", tmp_path / "references.json", "-p", tmp_path / "candidates.json", "--metrics", "bleu,rouge_l,cider")
    names = loaded("caption-eval", *files, "-q", "-o", tmp_path / "out", "--cache-dir", tmp_path / "cache")
    assert inside(names, NOT_FOR_FILES) == []
    assert len(names) < 135
