"""Versions of the packages that can change a number."""

from importlib.metadata import PackageNotFoundError, version


def package_versions(*names: str) -> dict[str, str]:
    """The installed versions of packages; a package that is absent is left out."""
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def encoding_versions(engine: str | None = None) -> dict[str, str]:
    """Those of what decodes images and runs models: part of the key of all that is stored of a model."""
    return package_versions("torch", "transformers", "pillow", *([engine] if engine else []))
