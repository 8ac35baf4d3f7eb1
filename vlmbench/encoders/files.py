"""A model's files: found (here or on the hub), identified by hashes, without loading them.

A run whose features are all in the store needs nothing more of a model than this, so nothing here imports torch or
transformers.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlmbench.data.fingerprint import kept_sha256
from vlmbench.encoders.checkpoints import Located
from vlmbench.encoders.families import OWN_CODE, TEXT, Family, family_of
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.files import SMALL
from vlmbench.foundations.files import read_json as read_configuration
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.text import visible
from vlmbench.hub.client import require_sound

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"
PROCESSOR = "processor_config.json"
_TOKENIZER = re.compile(
    r"^(tokenizer.*\.(json|model)|vocab\.(json|txt|bpe)|merges\.txt|special_tokens_map\.json|added_tokens\.json|.*\.(spm|model))$"
)
_VOLATILE = ("transformers_version", "_name_or_path", "torch_dtype", "dtype")


@dataclass(frozen=True)
class ModelFiles:
    """A model on this machine.

    Attributes:
        id: as the user named it.
        source: its hub id, or what the user named.
        system: the name a table shows.
        revision: commit on the hub, if it came from there.
        directory: where its files are.
        config: its ``config.json``.
        family: its architecture.
        weights_sha256: hash of its weights (of several files: of their names and hashes).
        preprocessing_sha256: hash of what decides an image's pixels and the architecture around the weights.
        tokenizer_sha256: hash of the tokenizer's files.
        own_code: whether Python files that came with it are run, since the user trusts them.
    """

    id: str
    source: str
    system: str
    revision: str | None
    directory: Path
    config: dict[str, Any]
    family: Family
    weights_sha256: str
    preprocessing_sha256: str
    tokenizer_sha256: str
    own_code: bool = False


def read_files(found: Located, cache_dir: Path, *, trusted: bool = False) -> ModelFiles:
    """Identifies a checkpoint; with `trusted`, also one that brings code of its own.

    Raises:
        InputError: no ``config.json``, no weights in a safe format, or an architecture vlmbench does not know.
    """
    id, directory = found.id, found.directory
    config = read_json(directory / CONFIG, needed_by=id)
    family = family_of(config, str(directory), trusted=trusted)
    weights_sha256 = sound_weights(directory, id, cache_dir)
    images = image_settings(directory, needed_by=id) if family.kind != TEXT else {}
    steady = {key: value for key, value in config.items() if key not in _VOLATILE}
    own_code = family is OWN_CODE
    code = [hash_files(sorted(directory.glob("*.py")), cache_dir)] if own_code else []
    tokenizer = sorted(path for path in directory.iterdir() if path.is_file() and _TOKENIZER.match(path.name))
    return ModelFiles(
        id=id,
        source=found.source,
        system=found.system,
        revision=found.revision,
        directory=directory,
        config=config,
        family=family,
        weights_sha256=weights_sha256,
        preprocessing_sha256=digest([steady, images, *code]),
        tokenizer_sha256=hash_files(tokenizer, cache_dir) if tokenizer else "",
        own_code=own_code,
    )


def image_settings(directory: Path, *, needed_by: str) -> dict[str, Any]:
    """How a checkpoint's images are prepared: its ``preprocessor_config.json``, or that part of the processor's.

    Raises:
        InputError: it does not say.
    """
    if (directory / PREPROCESSOR).is_file():
        return read_json(directory / PREPROCESSOR, needed_by=needed_by)
    whole = read_json(directory / PROCESSOR, needed_by=needed_by) if (directory / PROCESSOR).is_file() else {}
    found = whole.get("image_processor")
    if not isinstance(found, dict):
        raise InputError(
            f"{visible(needed_by)} does not say how its images are prepared: no {PREPROCESSOR}",
            where=str(directory),
            fix=f"add its {PREPROCESSOR}",
        )
    return found


def weight_files(directory: Path) -> list[Path]:
    """The files `transformers` would load, safetensors first.

    Raises:
        InputError: there are none.
    """
    for single, sharded in (("model.safetensors", "model*.safetensors"), ("pytorch_model.bin", "pytorch_model*.bin")):
        if (directory / single).is_file():
            return [directory / single]
        if found := sorted(directory.glob(sharded)):
            return found
    raise InputError(
        f"no weights in {visible(str(directory))}",
        where=str(directory),
        fix="model.safetensors is looked for, then pytorch_model.bin",
    )


def switches(own_code: bool = False) -> dict[str, Any]:
    """What every ``from_pretrained`` is given: no network, and a checkpoint's own code only where it is trusted."""
    return {"local_files_only": True, "trust_remote_code": own_code}


def sound_weights(directory: Path, id: str, cache_dir: Path) -> str:
    """`hash_files` of a model's weights, each file held against the checksum by which the hub's cache names it.

    Raises:
        InputError: there are none.
        AbsentError: a file is damaged.
    """
    paths = weight_files(directory)
    for path in paths:
        require_sound(path, kept_sha256(path, cache_dir), id)
    return hash_files(paths, cache_dir)


def hash_files(paths: Iterable[Path], cache_dir: Path) -> str:
    """SHA-256 of one file; of several, of their names and hashes. Kept by path, size and modification time."""
    found = [(path.name, kept_sha256(path, cache_dir)) for path in paths]
    return found[0][1] if len(found) == 1 else digest(found)


def read_json(path: Path, *, needed_by: str) -> dict[str, Any]:
    """A JSON object from a model's directory.

    Raises:
        InputError: absent, or no JSON object.
    """
    if not path.exists():
        raise InputError(
            f"{visible(needed_by)} is not a model directory: it has no {path.name}",
            where=str(path.parent),
            fix="name a directory saved by transformers",
        )
    value = read_configuration(path, most=SMALL, what="configuration")
    if not isinstance(value, dict):
        raise InputError(f"{path.name} holds no JSON object", where=str(path), fix="get the file again")
    try:
        digest(value)
    except ValueError as error:
        raise InputError(f"{path.name} holds NaN or an infinity", where=str(path), fix="get the file again") from error
    return value
