"""README and docs/: commands run, or are parsed with a reason; figures, names and options are what the code says."""

import csv
import importlib.util
import json
import os
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import vlmbench
from vlmbench.cli.app import COMMANDS, load
from vlmbench.metrics.captions.meteor.score import load_index
from vlmbench.metrics.spec import specs

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TUTORIALS = [path for path in PAGES if path.parent.name == "tutorials"]
PLACEHOLDERS = {"COMMAND", "HOST:6379"}
IN_ORDER = [ROOT / "README.md", *TUTORIALS]
"""Pages whose commands build on one another, and whose figures are compared; these take minutes."""

NOT_RUN = {
    r" (openai|Salesforce)/": "weights of the hub",
    r"endpoint:": "a server",
    r" plan\.toml .*(/shared/|--ray)": "a cluster",
    r" --boxes ": "COCO's images and boxes",
    r"Flickr8k|correctness": "published judgements; their readers are tested in tests/data",
    r"^demo$": "make test runs it",
    r"--corrupt all:1-5|--relative-to": "85 corruptions; tests/tasks/test_shift.py runs some",
    r"retrieval:tiny-clip -d scenes$": "2,000 training scenes; a tutorial runs it",
}
"""Commands that are parsed and not run, by a part of theirs, with the reason."""


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
                ends = re.search(r"#.*\bexit (?:code )?(\d)", line)
                yield shlex.split(re.sub(r"\s#.*", "", found[1])), int(ends[1]) if ends else 0


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


def test_every_option_file_extra_and_target_that_a_page_names_is_there():
    known = {
        name: {one for param in load(name).params for one in (*param.opts, *param.secondary_opts)} for name in COMMANDS
    }
    anywhere = set.union(*known.values(), {"--version", "--install-completion", "--show-completion", "--help"})
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    make = (ROOT / "Makefile").read_text("utf-8")
    missing = []
    for page in PAGES:
        text = page.read_text("utf-8")
        for span in (" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)):
            found = re.match(r"(?:vlmbench (\S+)|--|python (benchmarks/\S+\.py))", span)
            if found and found[2]:
                code = (ROOT / found[2]).read_text("utf-8") if (ROOT / found[2]).is_file() else ""
                there = set(re.findall(r'"(--[a-z][\w+-]*)"', code))
                missing += [] if code else [(page.name, span)]
            else:
                there = known.get(found[1], anywhere) if found else None
            options = re.findall(r"(?<!\S)--[a-z][\w+-]*", span) if there is not None else ()
            missing += [(page.name, span, one) for one in options if one not in there]
        installed = re.findall(r"pip install '(?:\.|vlmbench-eval)\[(.+?)\]'", text)
        missing += [(page.name, one) for one in installed if one not in extras]
        targets = re.findall(r"`make ([a-z][\w-]*)", text)
        missing += [(page.name, one) for one in targets if f"\n{one}: " not in make]
    assert missing == []


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A directory with the files that pages speak of, small, in the layouts that the pages name."""
    root = tmp_path_factory.mktemp("shelf")
    images = range(139, 151)
    references = {image: [f"a dog number {image} runs on the grass", f"dog {image} is running"] for image in images}
    said = {
        "first": {image: f"a dog number {image} runs" for image in images},
        "second": {image: f"a cat {image} on the grass sleeps" for image in images},
    }
    rows = [(image, caption) for image, captions in references.items() for caption in captions]
    coco = {
        "images": [{"id": image, "domain": "in-domain" if image % 2 else "near-domain"} for image in images],
        "annotations": [{"id": n, "image_id": image, "caption": text} for n, (image, text) in enumerate(rows)],
    }
    karpathy = [
        {"cocoid": image, "filename": f"{image}.jpg", "split": "test", "sentences": [{"raw": one} for one in captions]}
        for image, captions in references.items()
    ]
    for name in ("captions_val2017", "nocaps_val_4500_captions"):
        (root / f"{name}.json").write_text(json.dumps(coco))
    (root / "dataset_coco.json").write_text(json.dumps({"images": karpathy}))
    (root / "references.json").write_text(json.dumps(references))
    for first, second in (("blip", "magic"), ("mine", "other"), ("new", "old"), ("results", "nearest_neighbour")):
        for name, captions in zip((first, second), said.values(), strict=True):
            (root / f"{name}.json").write_text(json.dumps([{"image_id": i, "caption": c} for i, c in captions.items()]))
    (root / "virtex.json").write_bytes((root / "results.json").read_bytes())
    pd.DataFrame(rows, columns=["image_id", "caption"]).to_parquet(root / "captions.parquet")
    pd.DataFrame(said["first"].items(), columns=["image_id", "caption"]).to_parquet(root / "blip.parquet")
    both = [{"file": i, "references": captions, "output": said["first"][i]} for i, captions in references.items()]
    (root / "both.json").write_text(json.dumps(both))
    with (root / "table.csv").open("w") as handle:
        csv.writer(handle).writerows([("image_id", "caption", "scene"), *((*row, "park") for row in rows)])
    judged = [(image, captions[image], 3 - number) for image in images for number, captions in enumerate(said.values())]
    for name in ("ratings.csv", "judgements.csv"):
        with (root / name).open("w") as handle:
            csv.writer(handle).writerows([("image_id", "candidate", "rating"), *judged])
    generator = np.random.default_rng(0)
    for folder in ("val", "hospital-a/train", "hospital-a/test", "hospital-b/test"):
        for name, colour in (("truck", (200, 30, 30)), ("tree", (30, 180, 40))):
            place = root / folder / name
            place.mkdir(parents=True)
            for number in range(6):
                pixels = np.clip(np.array(colour) + generator.normal(0, 25, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.png")
    shutil.copytree(root / "val" / "tree", root / "photos")
    (root / "map.csv").write_text("theirs,ours\ntruck,truck\n")
    features = {f"{kind}_{split}": generator.random((20, 4)) if kind == "x" else np.arange(20) % 2
                for kind in "xy" for split in ("train", "test")}  # fmt: skip
    np.savez(root / "mine.npz", **features)
    (root / "plan.toml").write_text('[[zeroshot]]\nmodel = ["tiny-clip"]\ndataset = ["digits"]\n')
    shutil.copytree(ROOT / "vlmbench" / "bundled" / "models" / "tiny-clip", root / "my-clip")
    return root


FIRST = {
    "commands.md": """linear-probe -m tiny-clip -d digits --save-probe digits.safetensors -o results/runs/A
        zeroshot -m tiny-clip -d digits -o results/runs/B
        caption-eval -r references.json -p mine.json -o other/results
        check results --baseline baseline.json --update""",
    "compare.md": """caption-eval -r references.json -p new.json -o results/2023
        caption-eval -r references.json -p new.json -o results/2024""",
    "power.md": """linear-probe -m tiny-clip -d digits -o results/runs/ONE
        zeroshot -m tiny-clip -d digits -o results/runs/OTHER""",
}
"""What was done before the commands of a page."""

RUN = """
import contextlib, io, json, os, shutil, sys
from pathlib import Path
from vlmbench.cli.app import app
root = Path.cwd()
for page, commands in json.loads(sys.argv[1]):
    os.chdir(shutil.copytree(root / "shelf", root / page, symlinks=True))
    for words, code in commands:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                ended = app(words, standalone_mode=False) or 0
            except SystemExit as stop:
                ended = stop.code
            except BaseException as error:
                ended = f"{error!r}"
        if ended != code:
            print(page, words, "ended with", ended, out.getvalue()[-600:], err.getvalue()[-2000:])
"""


def test_every_command_runs_or_is_on_the_list_of_those_that_cannot(tmp_path, shelf, processes, pytestconfig):
    """On small files, with 24 images of each bundled set, in one process."""
    jobs, used = [], set()
    for page in sorted({*PAGES} - {*IN_ORDER}):
        commands = []
        for words, code in commands_in(page.read_text("utf-8")):
            reason = next((part for part in NOT_RUN if re.search(part, shlex.join(words))), None)
            used |= {reason}
            if reason is None and words[0] not in PLACEHOLDERS and (words, code) not in commands:
                commands.append((words, code))
        before = [(line.split(), 0) for line in FIRST.get(page.name, "").splitlines()]
        jobs += [(page.stem, before + commands)] if commands else []
    assert set(NOT_RUN) - used == set(), "nothing on the pages is left out for this reason"
    cache = pytestconfig.cache.mkdir("meteor")
    load_index(cache)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "meteor").symlink_to(cache / "meteor")
    (tmp_path / "shelf").symlink_to(shelf)
    small = {
        "LIMIT": 24,
        "RESAMPLES": 100,
        "SEEDS": 2,
        "C": 1,
        "METRICS": "bleu,meteor,cider",
        "CACHE_DIR": tmp_path / "cache",
    }
    env = {**os.environ, "HF_HUB_OFFLINE": "1", **{f"VLMBENCH_{name}": str(value) for name, value in small.items()}}
    how = {"cwd": tmp_path, "path": [str(ROOT)], "libraries": processes.OFFLINE}
    done = processes.python(RUN, env, json.dumps(jobs), **how)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def figures(text):
    """Numbers as tables show them."""
    return set(re.findall(r"(?<![\w.])[+-]?\d+\.\d+(?![\w.])", text))


@pytest.mark.long
@pytest.mark.parametrize("page", IN_ORDER, ids=lambda path: path.stem)
def test_the_figures_on_a_page_are_those_its_commands_print(page, tmp_path, command, processes, shelf):
    """Programs and commands run in their order; README speaks of the tutorials' files."""
    text, printed, shown = page.read_text("utf-8"), "", ""
    env = {"VLMBENCH_CACHE_DIR": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}

    def do(language, body):
        said = ""
        for line in body.splitlines() if language == "sh" else ():
            if line.startswith("python "):
                code = (tmp_path / line.split()[1]).read_text("utf-8")
                done = processes.python(code, dict(os.environ), cwd=tmp_path, path=[str(ROOT)])
                assert done.returncode == 0, done.stderr
        for words, code in commands_in(f"```{language}\n{body}```"):
            if not any(re.search(part, shlex.join(words)) for part in NOT_RUN if "scenes" not in part):
                done = command(*words, cwd=tmp_path, env=env)
                assert done.returncode == code, (words, done.stderr)
                said += done.stdout + done.stderr
        return said

    if page not in TUTORIALS:
        shutil.copytree(shelf, tmp_path, dirs_exist_ok=True)
        shutil.rmtree(tmp_path / "my-clip")
        for other in (path for path in TUTORIALS if path.stem in ("few-labels", "gate")):
            parts = blocks(other.read_text("utf-8"))
            for _, title, body in parts:
                if title:
                    (tmp_path / title).write_text(body, "utf-8")
            for language, _, body in parts:
                kept = [line for line in body.splitlines() if re.match(r"python|.*\./my-clip|.*--update", line)]
                do(language, "\n".join([*kept, ""]))
    for language, title, body in blocks(text):
        if title:
            (tmp_path / title).write_text(body, "utf-8")
        elif language in ("sh", "console"):
            printed += do(language, body)
        shown += (
            "\n".join(line for line in body.splitlines() if line[:2] != "$ ") if language in ("text", "console") else ""
        )
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
