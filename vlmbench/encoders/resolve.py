"""From what a user calls a model to its files: an alias, a local directory, or a hub id with an optional revision."""

from pathlib import Path

from vlmbench.encoders.files import ModelFiles, read_files
from vlmbench.encoders.naming import bundled_directory, local_directory
from vlmbench.encoders.pixels import NAME as PIXELS
from vlmbench.encoders.pixels import pixel_files
from vlmbench.encoders.registry import MODELS, ModelEntry


def resolve(model: str, cache_dir: Path, *, trusted: bool = False) -> ModelFiles:
    """The files of the model a user names, fetched from the hub where they are not here yet.

    Args:
        model: ``pixels``, an alias from `MODELS`, ``owner/name``, ``owner/name@revision``, or a directory
            (``./my-clip``).
        cache_dir: where hashes of weights are kept.
        trusted: whether code that came with a checkpoint may be run.

    Raises:
        AbsentError: no such model, or it is not here and cannot be fetched; the message names the command that gets it.
        InputError: the directory is no checkpoint that vlmbench can use.
    """
    if model == PIXELS:
        return pixel_files()
    if model.startswith("open-clip:"):
        from vlmbench.encoders.openclip import open_clip_files

        return open_clip_files(model, cache_dir)
    if model.startswith("timm:"):
        from vlmbench.encoders.timm_models import timm_files

        return timm_files(model, cache_dir)
    entry = MODELS.get(model)
    if entry is not None:
        return _registered(model, entry, cache_dir)
    path = local_directory(model, "model", MODELS)
    if path is not None:
        name = path.resolve().name
        return read_files(path, id=model, system=name, revision=None, cache_dir=cache_dir, trusted=trusted)
    return _from_hub(model, model, None, cache_dir, trusted=trusted)


def _registered(alias: str, entry: ModelEntry, cache_dir: Path) -> ModelFiles:
    if entry.bundled:
        return read_files(bundled_directory(alias), id=alias, system=alias, revision=None, cache_dir=cache_dir)
    return _from_hub(alias, entry.hub_id, entry.revision, cache_dir)


def _from_hub(id: str, hub_id: str, revision: str | None, cache_dir: Path, *, trusted: bool = False) -> ModelFiles:
    from vlmbench.hub.client import fetch_model

    name, _, asked = hub_id.partition("@")
    directory, commit = fetch_model(name, asked or revision, code=trusted)
    return read_files(directory, id=id, system=id, revision=commit, cache_dir=cache_dir, source=name, trusted=trusted)
