"""README and the pages under docs/: commands are parsed or run, and what comes from the code is what the code says."""

import importlib.util
import json
import os
import re
import shlex
from pathlib import Path

import pytest

import vlmbench
from vlmbench.cli.app import COMMANDS, load
from vlmbench.metrics.spec import specs

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TUTORIALS = [path for path in PAGES if path.parent.name == "tutorials"]
PLACEHOLDERS = {"COMMAND", "HOST:6379"}


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(text):
    """``(language, title, lines)`` of each block of code."""
    found = re.findall(r'^```([a-z]*)(?: title="(.*?)")?\n(.*?)^```$', text, flags=re.MULTILINE | re.DOTALL)
    return [(language, title, body) for language, title, body in found]


def commands_in(text):
    """The words of each `vlmbench` command in blocks of shell code, and whether its exit code is told."""
    for language, _, body in blocks(text):
        if language not in ("sh", "", "yaml", "console"):
            continue
        for line in body.replace("\\\n", " ").splitlines():
            line = line.strip().removeprefix("$ ").removeprefix("- ")
            found = re.match(r"(?:\w+=\S+ |srun [^v]*|torchrun .*?-m )*vlmbench (.*)", line)
            if found and "…" not in line:
                told = re.search(r"#.*\bexit (?:code )?(\d)", line)
                yield shlex.split(found[1], comments=True), int(told[1]) if told else 0


def test_pages_made_from_the_code_are_those_that_are_committed(generate):
    """``python docs/generate.py`` writes them."""
    for name, page in generate.PAGES.items():
        assert (ROOT / "docs" / name).read_text("utf-8") == page(), f"run: python docs/generate.py ({name})"


def test_every_option_of_every_command_and_every_metric_has_its_line():
    commands = (ROOT / "docs" / "commands.md").read_text("utf-8")
    for name in COMMANDS:
        section = commands.partition(f"## vlmbench {name}\n")[2].partition("\n## ")[0]
        named = section + commands.partition("## Common options")[2]
        missing = [option for param in load(name).params for option in param.opts if option.startswith("--")]
        assert [one for one in missing if one != "--help" and f"`{one}`" not in named] == [], name
    metrics = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    assert [name for name in specs() if f"records**: `{name}`" not in metrics] == []
    assert metrics.count("**Blind to**: ") == len(specs())


def test_every_name_of_the_api_is_on_its_page():
    page = (ROOT / "docs" / "reference.md").read_text("utf-8")
    named = set(re.findall(r"^::: vlmbench\.(\w+)$", page, flags=re.MULTILINE))
    assert named | {"errors", "metrics"} == set(vlmbench.__all__)


def test_every_page_is_in_the_navigation():
    """Links between pages are checked where the site is built: ``make docs``."""
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8").partition("nav:\n")[2]
    named = sorted(re.findall(r"[\w/-]+\.md", navigation))
    assert named == sorted(path.relative_to(ROOT / "docs").as_posix() for path in PAGES[1:])


def test_the_changelog_and_the_citation_name_this_version():
    assert f"\n## {vlmbench.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"\nversion: {vlmbench.__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_command_on_a_page_is_one_that_the_command_line_takes(page):
    for words, _ in commands_in(page.read_text("utf-8")):
        name, *rest = words
        if name.startswith("-") or name in PLACEHOLDERS:
            continue
        assert name in COMMANDS, words
        if not {"-h", "--help"} & set(rest):
            load(name).make_context(name, list(rest))


def test_there_are_commands_on_the_pages():
    counts = {page.name: len([*commands_in(page.read_text("utf-8"))]) for page in PAGES}
    assert counts["README.md"] > 8
    assert all(counts[path.name] > 2 for path in TUTORIALS)
    assert sum(counts.values()) > 80


def figures(text):
    """Numbers as tables show them."""
    return set(re.findall(r"(?<![\w.])[+-]?\d+\.\d+(?![\w.])", text))


@pytest.mark.long
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_does_what_it_says(page, tmp_path, command, processes):
    """Its programs and commands run in their order, and every figure it shows is printed by one of them."""
    text, printed, shown = page.read_text("utf-8"), "", ""
    env = {"VLMBENCH_CACHE_DIR": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    for language, title, body in blocks(text):
        if title:
            (tmp_path / title).write_text(body, "utf-8")
        shown += body if language == "text" else ""
        for line in body.splitlines() if language == "sh" else ():
            if line.startswith("python "):
                (name,) = line.split()[1:]
                code = (tmp_path / name).read_text("utf-8")
                done = processes.python(code, dict(os.environ), cwd=tmp_path, path=[str(ROOT)])
                assert done.returncode == 0, done.stderr
        for words, code in commands_in(f"```{language}\n{body}```") if language == "sh" else ():
            done = command(*words, cwd=tmp_path, env=env)
            assert done.returncode == code, (words, done.stderr)
            printed += done.stdout + done.stderr
    assert figures(shown) - figures(printed) == set()
    assert page.stem == "gate" or (tmp_path / "results" / "report.html").is_file()


SHOW = """
import ast
def cell(code, names):
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), names)
    shown = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names) if last else None
    print("" if shown is None else repr(shown))
"""


@pytest.mark.long
def test_the_notebook_runs_and_prints_the_figures_it_shows(tmp_path, processes):
    cells = json.loads((ROOT / "docs" / "notebook.ipynb").read_text("utf-8"))["cells"]
    codes = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    shown = ""
    for output in (output for cell in cells for output in cell.get("outputs", ())):
        assert output["output_type"] != "error"
        shown += "".join(output.get("text", output.get("data", {}).get("text/plain", "")))
    assert len(figures(shown)) > 20
    code = SHOW + "names = {}\n" + "".join(f"cell({code!r}, names)\n" for code in codes)
    env = {**os.environ, "VLMBENCH_CACHE_DIR": str(tmp_path / "cache")}
    done = processes.python(code, env, cwd=tmp_path, path=[str(ROOT)])
    assert done.returncode == 0, done.stderr
    assert figures(shown) - figures(done.stdout) == set()
