"""``import vlmbench``: what it offers, and what it leaves alone until it is used."""

import subprocess
import sys

import pytest

import vlmbench

HEAVY = "{'torch', 'transformers', 'numpy', 'pandas', 'scipy', 'sklearn', 'rich', 'typer', 'pydantic', 'PIL'}"


def loaded(code):
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*sorted({HEAVY} & set(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_import_loads_nothing():
    assert loaded("import vlmbench; dir(vlmbench); vlmbench.errors; vlmbench.metrics; dir(vlmbench.metrics)") == set()


@pytest.mark.parametrize(
    "code",
    [
        "import vlmbench; vlmbench.zeroshot, vlmbench.compare, vlmbench.check, vlmbench.load_runs, vlmbench.Results",
        "import vlmbench; vlmbench.LinearProbe()",
        "from vlmbench.metrics import cider, bleu; cider(['a b', 'c'], [['a b'], ['c d']])",
    ],
)
def test_names_load_no_torch(code):
    assert not {"torch", "transformers"} & loaded(code)


def test_plain_metrics_load_no_pandas_and_no_scikit_learn():
    assert loaded("from vlmbench.metrics import cider; cider(['a b', 'c'], [['a b'], ['c d']])") <= {"numpy"}


def test_every_name_is_there_and_listed():
    for name in vlmbench.__all__:
        assert getattr(vlmbench, name) is not None
    assert set(vlmbench.__all__) <= set(dir(vlmbench))
    for name in vlmbench.metrics.__all__:
        assert callable(getattr(vlmbench.metrics, name))
        assert name in dir(vlmbench.metrics)
    for module in (vlmbench, vlmbench.metrics):
        with pytest.raises(AttributeError, match="no_such_name"):
            module.no_such_name  # noqa: B018


def test_errors_are_those_that_are_raised():
    from vlmbench.foundations import errors as raised

    for name in vlmbench.errors.__all__:
        assert getattr(vlmbench.errors, name) is getattr(raised, name)
