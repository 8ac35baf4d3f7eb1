"""Every example in a docstring of the package runs, offline, and gives what it says."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "vlmbench"
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if "\n        >>> " in path.read_text("utf-8") or "\n    >>> " in path.read_text("utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = import_module(name)
    found = doctest.testmod(module)
    assert found.attempted
    assert found.failed == 0


def test_the_page_on_the_api_says_what_comes_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLMBENCH_CACHE_DIR", str(tmp_path / "cache"))
    page = PACKAGE.parent / "docs" / "api.md"
    found = doctest.testfile(str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 10
    assert found.failed == 0


def test_the_api_has_examples():
    assert {"vlmbench.api.calls", "vlmbench.heads.estimator", "vlmbench.metrics.captions.functions"} <= set(MODULES)
