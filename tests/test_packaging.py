"""What is imported is declared, and what is built holds what it should."""

import ast
import importlib
import json
import os
import re
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(lines: list[str]) -> set[str]:
    return {normal(re.match(r"[\w.-]+", line)[0]) for line in lines}


REQUIRED = declared(PROJECT["dependencies"])
EXTRAS = {name for lines in PROJECT["optional-dependencies"].values() for name in declared(lines)}
IMPORT_NAMES = {"open_clip": "open-clip-torch"}
"""Of packages that need not be installed here."""
HOSTS = {"pytest": "the plugin is loaded by pytest itself"}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - {"vlmbench"}


def distributions(module: str) -> set[str]:
    found = {normal(name) for name in packages_distributions().get(module, [])}
    return found or {normal(IMPORT_NAMES.get(module, module))}


IMPORTED = {name for path in (ROOT / "vlmbench").rglob("*.py") for name in imported(path)}


@pytest.mark.parametrize("module", sorted(IMPORTED - set(HOSTS)))
def test_what_is_imported_is_declared(module: str) -> None:
    assert distributions(module) & (REQUIRED | EXTRAS), f"{module} is imported and not declared in pyproject.toml"


def test_what_is_declared_is_used() -> None:
    used = {name for module in IMPORTED for name in distributions(module)}
    data = {"pycocoevalcap"}  # its data are read, and its oracle is imported where --backend java asks for it
    assert REQUIRED - used - data == set()


def test_the_pinned_versions_hold_what_is_declared_and_are_not_doubled() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if "==" in line]
    names = [normal(line.partition("==")[0]) for line in lines]
    assert len(names) == len(set(names))
    assert set(names) >= REQUIRED


CAPTIONS = [line for line in (ROOT / "requirements-captions.txt").read_text("utf-8").splitlines() if line[0] != "#"]
WITHOUT = """
import sys
left_out = set(sys.argv[1].split(","))
class LeftOut:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in left_out:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
for name in [name for name in sys.modules if name.partition(".")[0] in left_out]:
    del sys.modules[name]
sys.meta_path.insert(0, LeftOut())
from vlmbench.cli.app import app
def run(line, expected=0):
    try:
        app(line.split())
    except SystemExit as stop:
        assert (stop.code or 0) == expected, (line, stop.code)
run("caption-eval -r references.json -p first.json -p second.json --metrics bleu,cider --resamples 100")
run("compare results --figures figures")
run("verify results")
run("check results --baseline baseline.json --update")
run("check results --baseline baseline.json")
run("metric-eval -j ratings.csv -r references.json --metrics bleu --resamples 100")
run("list metrics")
run("zeroshot -m tiny-clip -d digits", 4)
"""


def test_captions_are_scored_without_what_their_requirements_leave_out(tmp_path: Path, processes: ModuleType) -> None:
    needed = {re.sub(r"\s+#.*", "", line) for line in PROJECT["dependencies"]}
    assert set(CAPTIONS) <= needed
    left_out = sorted(name for name in IMPORTED - set(HOSTS) if not distributions(name) & declared(CAPTIONS))
    assert {"torch", "transformers", "datasets", "sklearn"} <= set(left_out)
    images = range(12)
    (tmp_path / "references.json").write_text(json.dumps({n: [f"a dog number {n} runs on grass"] for n in images}))
    (tmp_path / "first.json").write_text(json.dumps({n: f"a dog number {n} runs" for n in images}))
    (tmp_path / "second.json").write_text(json.dumps({n: f"a cat {n} sleeps on grass" for n in images}))
    rows = "".join(f"{n},a dog number {n} runs,3\n{n},a cat on grass,{n % 3}\n" for n in images)
    (tmp_path / "ratings.csv").write_text("image_id,candidate,rating\n" + rows)
    env = {**os.environ, "VLMBENCH_CACHE_DIR": str(tmp_path / "cache")}
    how = {"cwd": tmp_path, "path": [str(ROOT)], "libraries": processes.OFFLINE}
    done = processes.python(WITHOUT, env, ",".join(left_out), **how)
    assert done.returncode == 0, done.stderr
    assert "which is not installed" in done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], set[str]]:
    """The names in the wheel and in the source archive, by the build backend itself."""
    build = importlib.import_module("hatchling.build")
    out = tmp_path_factory.mktemp("dist")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        wheel, source = build.build_wheel(str(out)), build.build_sdist(str(out))
    assert (out / wheel).stat().st_size < 25e6
    with zipfile.ZipFile(out / wheel) as archive, tarfile.open(out / source) as tar:
        return set(archive.namelist()), {name.partition("/")[2] for name in tar.getnames()}


def test_the_wheel_is_typed_and_says_whose_it_is(built: tuple[set[str], set[str]]) -> None:
    wheel, source = built
    assert "vlmbench/py.typed" in wheel
    assert {name.rpartition("/")[2] for name in wheel if ".dist-info/licenses/" in name} == {"LICENSE", "NOTICE"}
    assert not [name for name in wheel if name.startswith(("tests", "benchmarks")) or name.endswith((".pyc", ".jar"))]
    assert {"LICENSE", "NOTICE", "README.md", "vlmbench/py.typed", "benchmarks/meteor_observed.txt.gz"} <= source


def test_what_is_published_is_tried_first_and_nothing_secret_is_kept() -> None:
    """The release workflow: an environment of its own for each archive, and publishing after it, without a password."""
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8"))["jobs"]
    tried = " ".join(step.get("run", "") for step in jobs["try"]["steps"])
    assert "vlmbench demo" in tried
    assert jobs["try"]["strategy"]["matrix"]["archive"] == ["*.whl", "*.tar.gz"]
    assert (jobs["try"]["needs"], jobs["publish"]["needs"]) == ("build", "try")
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert "password" not in str(jobs)


def test_the_hooks_run_what_make_test_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    make = (ROOT / "Makefile").read_text("utf-8")
    for hook in hooks:
        assert f"$(BIN)/{' '.join(hook['entry'].split()[:2]).partition(' --')[0]}" in make


def test_the_image_passes_on_no_jar() -> None:
    """One layer installs and removes: a later one would leave what it removes in the image."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    layers = [line for line in text.replace("\\\n", " ").splitlines() if line.startswith("RUN")]
    assert len(layers) == 1
    assert layers[0].index("pip install --no-cache-dir /source") < layers[0].index("pip uninstall --yes pycocoevalcap")
