"""Versions of the packages that can change a number."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version


def package_versions(*names: str) -> dict[str, str]:
    """The installed versions of packages; a package that is absent is left out."""
    found = {name: _version(name) for name in names}
    return {name: number for name, number in found.items() if number is not None}


@cache
def _version(name: str) -> str | None:
    """An installed version: finding and parsing it takes milliseconds, and a grid asks hundreds of times."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def encoding_versions(engine: str | None = None) -> dict[str, str]:
    """Those of what decodes images and runs models: part of the key of all that is stored of a model."""
    return package_versions("torch", "transformers", "pillow", *([engine] if engine else []))
