"""The modules beside the tests under names of their own, and a hub that is served while a test runs."""

import importlib.util
import sys
from pathlib import Path

import pytest


def _beside(name):
    spec = importlib.util.spec_from_file_location(f"hub_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_server = _beside("server")
_beside("repositories")
_beside("clients")


@pytest.fixture
def hub():
    with _server.serving(_server.Hub()) as running:
        yield running
