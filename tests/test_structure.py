"""What the whole tree keeps to: one place for each fact, documented commands, nothing of a developer's machine."""

import ast
import inspect
import re
from collections import Counter
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path

import pytest

from vlmbench.cli.commands import COMMANDS
from vlmbench.metrics.captions.bleu import ALL_BLEU
from vlmbench.metrics.spec import specs
from vlmbench.records.task import TaskDetail, TaskProtocol, task_specs, tasks

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path for folder in ("vlmbench", "benchmarks") for path in (ROOT / folder).rglob("*.py"))

COMMON = {"accuracy", "map", "brier", "ece"}
"""Names of metrics that are words too: looked for as whole strings only."""
NO_METRIC = {
    ("vlmbench/report/page/charts.py", "accuracy"): "a key of a bin of the reliability diagram (`calibration_bins`)",
    ("vlmbench/tasks/captions/meteor.py", "meteor"): "the directory of METEOR's index in the cache",
    ("vlmbench/tasks/doctor.py", "meteor"): "a directory and a file of pycocoevalcap",
}
"""Strings that look like a metric and are none, each with what it is."""


@cache
def parsed(path):
    return ast.parse(path.read_text("utf-8"))


def test_a_metric_is_named_nowhere_but_in_metrics():
    """Its name, direction, title and test are read from its spec; doc strings, README and data may tell of it."""
    names = {*specs(), ALL_BLEU}
    found = set()
    for path in sorted((ROOT / "vlmbench").rglob("*.py")):
        place = str(path.relative_to(ROOT))
        if place.startswith("vlmbench/metrics/"):
            continue
        tree = parsed(path)
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                words = set(re.findall("[a-z0-9_]+", node.value)) - COMMON | {node.value}
                found |= {(place, word) for word in words & names}
    assert found == set(NO_METRIC)


FAMILY = "the family of metrics, and the table of that name"
NO_TASK = {
    ("vlmbench/metrics/figures.py", "retrieval"): FAMILY,
    ("vlmbench/metrics/retrieval.py", "retrieval"): FAMILY,
    ("vlmbench/metrics/spec.py", "retrieval"): FAMILY,
    ("vlmbench/report/tables/retrieval.py", "retrieval"): FAMILY,
    ("vlmbench/captioners/", "retrieval"): "a kind of captioner",
    ("vlmbench/data/hub/dataset.py", "retrieval"): "a kind of hub dataset, with captions",
}
"""Strings that look like a task and are none, each with what it is."""


def test_a_task_is_named_nowhere_but_in_tasks_records_and_commands():
    """What differs between tasks is read from their specs; a command, and a function of the API, has a task's name."""
    names, found = set(tasks()), set()
    for path in sorted((ROOT / "vlmbench").rglob("*.py")):
        place = str(path.relative_to(ROOT))
        if re.match("vlmbench/(tasks|records|cli|api)/|vlmbench/__init__.py", place):
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names:
                known = [key for key in NO_TASK if place.startswith(key[0]) and node.value == key[1]]
                found |= set(known) or {(place, node.value)}
    assert found == set(NO_TASK)


@pytest.mark.parametrize("spec", task_specs(), ids=lambda spec: spec.name)
def test_every_task_is_complete(spec):
    """It has metrics that are recomputed from columns it declares, or together; what it names is there, and fits."""
    metrics = [metric for metric in specs().values() if metric.family == spec.family]
    assert metrics
    together = spec.family in {"classification", "captions", "retrieval", "agreement"}
    assert all(together or metric.compute for metric in metrics)
    assert spec.gated == "none" or any(metric.test for metric in metrics)
    assert issubclass(spec.protocol, TaskProtocol)
    assert issubclass(spec.detail, TaskDetail)
    assert is_dataclass(spec.load("request"))
    for part, names in (("check", ["request", "session"]), ("run", ["request", "context", "session"])):
        assert list(inspect.signature(spec.load(part)).parameters) == names
    if spec.table:
        assert list(inspect.signature(spec.load("table")).parameters) == ["runs", "pairs", "foreign"]
    command = COMMANDS[spec.name]
    assert f"{command.module}:command" == spec.command
    assert spec.load("command").__doc__


def test_a_home_directory_is_looked_up_in_one_place():
    """`user_path` knows that there may be none."""
    found = [path.relative_to(ROOT).as_posix() for path in SOURCES if ".expanduser(" in path.read_text("utf-8")]
    assert found == ["vlmbench/foundations/paths.py"]


def test_text_embeddings_are_read_and_written_by_one_file():
    store = re.compile(r"\b(read_texts|write_texts|TextKey)\b")
    found = [str(path.relative_to(ROOT)) for path in SOURCES if store.search(path.read_text("utf-8"))]
    assert found == ["vlmbench/features/texts.py"]


def modules():
    """Each module of the package by its dotted name: its tree and its text."""
    found = {}
    for path in sorted((ROOT / "vlmbench").rglob("*.py")):
        text = path.read_text("utf-8")
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = (parsed(path), text)
    return found


def test_no_private_name_is_imported_by_another_module():
    found = [
        (module, f"{node.module}.{item.name}")
        for module, (tree, _) in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vlmbench")
        for item in node.names
        if re.match("_(?!_)", item.name)
    ]
    assert found == []


def test_a_name_is_taken_apart_only_where_names_are_parsed():
    """Elsewhere a `DatasetRef`, `ModelRef` or `CaptionerRef` is asked for its kind: no test for ``"kind:"``."""
    found = [
        (module, ast.unparse(node))
        for module, (tree, _) in modules().items()
        if not module.endswith(".names")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("startswith", "removeprefix")
        and re.search(r"PREFIX|:'", ast.unparse(node))
    ]
    assert found == []


def test_nothing_is_public_for_tests_alone():
    """Each public function and class is used by the package, offered by the API, or named in `docs/architecture.md`."""
    everything = modules()
    words = {module: re.findall(r"\w+", text) for module, (_, text) in everything.items()}
    pages = ("pyproject.toml", "docs/architecture.md")
    told = re.findall(r"\w+", "".join((ROOT / name).read_text("utf-8") for name in pages))
    used = Counter(word for own in words.values() for word in set(own))
    found = [
        (module, node.name)
        for module, (tree, _) in everything.items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith(("_", "pytest_"))
        and not node.decorator_list
        and used[node.name] == words[module].count(node.name) == 1
        and node.name not in told
    ]
    assert found == []


PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
DOCUMENTS = ("README.md", "CONTRIBUTING.md", *PAGES)


def named_in(text):
    """The paths of this repository that a document names in code font, those of `vlmbench/` perhaps without it."""
    tops = "|".join(path.name for path in sorted([*ROOT.iterdir(), *(ROOT / "vlmbench").iterdir()]) if path.is_dir())
    return set(re.findall(rf"`((?:{tops})/[^`<>{{}} …]*)`", text))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_a_document_names_is_there(document):
    """Results are a user's own, and are not looked for."""
    named = {name for name in named_in((ROOT / document).read_text("utf-8")) if not name.startswith("results/")}
    assert len(named) > {"docs/architecture.md": 15, "CONTRIBUTING.md": 15}.get(document, -1)
    assert [name for name in sorted(named) if not any([*ROOT.glob(name), *(ROOT / "vlmbench").glob(name)])] == []


def test_every_class_and_function_that_contributing_names_is_there():
    """A word with capitals inside, or with parentheses behind it."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = set(re.findall(r"`([A-Z][a-z]+[A-Z][A-Za-z]+)`|`([a-z_]+)\(", text))
    words = set(re.findall(r"\w+", "".join(text for _, text in modules().values())))
    assert len(named) > 5
    assert {one or other for one, other in named} - words == set()


def test_the_tree_on_the_page_on_architecture_is_the_tree():
    """Its first column has the packages; the modules it names lie in them."""
    tree = (ROOT / "docs" / "architecture.md").read_text("utf-8").partition("```\nvlmbench/\n")[2].partition("```")[0]
    package, found = "", set()
    for line in tree.splitlines():
        package = line[2:16].strip() or package
        found.add(package)
        for name in re.findall(r"\b\w+\.py\b|\b\w+/", line[16:]):
            assert [*(ROOT / "vlmbench" / package).glob(f"**/{name}")], (package, name)
    packages = {f"{path.parent.name}/" for path in (ROOT / "vlmbench").glob("*/__init__.py")}
    assert found == packages - {"bundled/"}
