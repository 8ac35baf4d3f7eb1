"""What other packages add: what goes wrong in it is said of the package, but for memory, which it may lack too."""

from importlib.metadata import EntryPoint

import pytest

from vlmbench.foundations.errors import AbsentError, InputError, UsageError
from vlmbench.foundations.plugins import Plugin, Registry

PLUGIN = Plugin(EntryPoint("squares", "no_such_module:open", "vlmbench.datasets"))


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")])
def test_too_little_memory_is_no_reason_to_uninstall_a_package(error):
    with pytest.raises(AbsentError, match="memory") as caught, PLUGIN.blamed():
        raise error
    assert caught.value.where == "squares of ? (no_such_module:open)"
    assert "uninstall" not in str(caught.value)


def test_another_error_is_blamed_on_the_package():
    with pytest.raises(InputError, match="it failed: ZeroDivisionError") as caught, PLUGIN.blamed():
        _ = 1 / 0
    assert caught.value.fix == "update or uninstall that package"
    with pytest.raises(UsageError, match="as it is"), PLUGIN.blamed():
        raise UsageError("as it is")


def test_names_are_added_once_and_loaded_when_asked_for(monkeypatch):
    monkeypatch.setattr("vlmbench.foundations.plugins.plugins", lambda group: (PLUGIN,))
    own = Registry("kind of dataset", {"digits": "vlmbench.data.bundled:open_bundled"})
    found = own.with_installed("vlmbench.datasets")
    assert (list(found), list(found.added)) == (["digits", "squares"], ["squares"])
    with pytest.raises(InputError, match=r"squares of .*: it cannot be loaded: ModuleNotFoundError"):
        found.load("squares")
    with pytest.raises(InputError, match="vlmbench has a kind of dataset of this name"):
        own.with_installed("vlmbench.datasets", reserved=["squares"])
    monkeypatch.setattr("vlmbench.foundations.plugins.plugins", lambda group: (PLUGIN, PLUGIN))
    with pytest.raises(InputError, match="adds a kind of dataset of this name too"):
        own.with_installed("vlmbench.datasets")
