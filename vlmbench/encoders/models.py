"""From a model's name to its files and to the loaded model, the one way there is; and the models with a short name."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from vlmbench.encoders.checkpoints import locate
from vlmbench.encoders.files import ModelFiles, read_files
from vlmbench.encoders.names import CheckpointRef, ModelRef
from vlmbench.encoders.pixels import NAME as PIXELS
from vlmbench.encoders.pixels import pixel_files
from vlmbench.foundations.plugins import Plugin
from vlmbench.foundations.progress import Reporter


@dataclass(frozen=True)
class ModelEntry:
    """One named model.

    Attributes:
        alias: its short name.
        hub_id: where it is; empty for one that ships with the package.
        revision: pinned commit, where the facts name one.
        kind: ``dual-encoder`` or ``backbone``.
        parameters: how many, if known.
        width: size of its embedding, if known.
        about: what it is.
        source: where these facts are from.
    """

    alias: str
    hub_id: str
    revision: str | None
    kind: str
    parameters: int | None
    width: int | None
    about: str
    source: str


def _listed() -> dict[str, ModelEntry]:
    with open(Path(__file__).with_name("models.csv"), encoding="utf-8", newline="") as handle:
        rows: list[dict[str, Any]] = list(csv.DictReader(handle))
    for row in rows:
        row["revision"] = row["revision"] or None
        row |= {name: int(row[name]) if row[name] else None for name in ("parameters", "width")}
    return {row["alias"]: ModelEntry(**row) for row in rows}


MODELS = _listed()


def find_model(ref: ModelRef, cache_dir: Path, *, trusted: bool = False) -> ModelFiles:
    """The files of a model, fetched where they are not here yet.

    Args:
        ref: its name.
        cache_dir: where hashes of weights are kept.
        trusted: whether code that came with a checkpoint may be run.

    Raises:
        AbsentError: no such model, or it is not here and cannot be fetched; the message names the command that gets it.
        InputError: its files are not those of a model that vlmbench can use.
    """
    found: ModelFiles = resolve_name(ref.finder)(ref, cache_dir, trusted)
    return found


def checkpoint_files(ref: CheckpointRef, cache_dir: Path, trusted: bool) -> ModelFiles:
    """Those of a checkpoint that transformers or another package's adapter loads, or of ``pixels``."""
    if ref.name == PIXELS:
        return pixel_files()
    return read_files(locate(ref, "model", MODELS, code=trusted), cache_dir, trusted=trusted)


def load_model(files: ModelFiles, device: str, precision: str, reporter: Reporter) -> Any:
    """The adapter of a model's family, with the weights in it.

    Raises:
        InputError: weights, tokenizer or preprocessing are damaged, or another package's adapter is at fault.
    """
    family = files.family
    with reporter.task(f"loading {files.id}", None):
        if family.plugin is None:
            return resolve_name(family.adapter)(files, device, precision, reporter)
        with family.plugin.blamed(f"it cannot load {files.id}"):
            encoder = resolve_name(family.adapter)(files, device, precision, reporter)
            if set(encoder.layers) != set(family.stored):
                raise TypeError(
                    f"it has the layers {', '.join(encoder.layers)}, and declares {', '.join(family.stored)}"
                )
        return _Guarded(family.plugin, encoder)


class _Guarded:
    """An encoder of another package, whose faults are said of that package; asked for nothing but the contract."""

    launch = stack = None

    def __init__(self, plugin: Plugin, encoder: Any) -> None:
        self._plugin, self._encoder = plugin, encoder

    def __getattr__(self, name: str) -> Any:
        with self._plugin.blamed(f"it failed in {name}"):
            found = getattr(self._encoder, name)
        return partial(self._call, name, found) if callable(found) else found

    def _call(self, name: str, method: Callable[..., Any], *arguments: Any) -> Any:
        with self._plugin.blamed(f"it failed in {name}"):
            found = method(*arguments)
            given = {"encode_images": found, "encode_texts": {"texts": found}}.get(name, {})
            wrong = [key for key, values in given.items() if values.ndim != 2 or len(values) != len(arguments[0])]
            if wrong or (name == "encode_images" and set(given) != set(self._encoder.layers)):
                shapes = ", ".join(f"{key} {list(values.shape)}" for key, values in given.items())
                raise TypeError(f"it gave {shapes or 'nothing'} for {len(arguments[0])} images or texts")
        return found
