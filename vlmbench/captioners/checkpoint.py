"""A captioner's files: found locally or on the hub, identified by hashes, without loading them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlmbench.captioners.names import CHECKPOINT, FORMS
from vlmbench.captioners.registry import CAPTIONERS
from vlmbench.encoders.checkpoints import locate
from vlmbench.encoders.families import own_code_refused
from vlmbench.encoders.files import CONFIG, hash_files, read_json, sound_weights, switches
from vlmbench.encoders.models import MODELS
from vlmbench.encoders.names import CheckpointRef
from vlmbench.foundations.errors import AbsentError
from vlmbench.records.result import ModelFacts

_BESIDE = re.compile(r".*\.(json|jinja|txt|model|spm|bpe)$")
_CODE = re.compile(r".*\.py$")
_UNRELATED = re.compile(r"^(.*\.index\.json|trainer_state\.json|training_args.*|README.*|requirements.*|\..*)$")


@dataclass(frozen=True)
class Checkpoint:
    """A captioner on this machine.

    Attributes:
        id: as the user named it.
        system: the name in tables.
        revision: commit on the hub, if it came from there.
        directory: where its files are.
        config: its ``config.json``.
        weights_sha256: hash of its weights.
        beside_sha256: hash of everything else that decides its captions: configuration, processor, tokenizer, chat
            template, its own code if that is run.
        own_code: whether its Python files are run, because the user trusts them.
    """

    id: str
    system: str
    revision: str | None
    directory: Path
    config: dict[str, Any]
    weights_sha256: str
    beside_sha256: str
    own_code: bool = False

    @property
    def model_type(self) -> str:
        """The architecture's name in its configuration."""
        return str(self.config.get("model_type", ""))

    @property
    def facts(self) -> ModelFacts:
        """For the record."""
        return ModelFacts(
            id=self.id,
            revision=self.revision,
            weights_sha256=self.weights_sha256,
            kind=CHECKPOINT,
            trust_remote_code=self.own_code,
        )

    @property
    def loading(self) -> dict[str, Any]:
        """Keyword arguments for loading it with transformers."""
        return switches(self.own_code)


def find_checkpoint(model: str, cache_dir: Path, *, trusted: bool = False) -> Checkpoint:
    """The files of a captioner, downloaded from the hub if they are not on this machine. Raises `AbsentError` where
    there is none, it cannot be downloaded, or its weights are damaged; `InputError` where it is no checkpoint of
    transformers, or comes with code that is not trusted. `trusted`: code that comes with it may be run, where
    transformers does not know its architecture."""
    if model in MODELS:
        kind = MODELS[model].kind
        fix = f"retrieval:{model} or asif:{model}" if kind == "dual-encoder" else "vlmbench list models"
        raise AbsentError(f"{model} is a {kind}, not a captioner", where=model, fix=fix)
    found = locate(
        CheckpointRef(model),
        "captioner",
        CAPTIONERS,
        folders=("qformer_tokenizer",),
        code=trusted,
        fix=f"a captioner is {FORMS}",
    )
    directory = found.directory
    config = read_json(directory / CONFIG, needed_by=model)
    own_code = _needs_own_code(config)
    if own_code and not trusted:
        raise own_code_refused(config, str(directory))
    beside = sorted(
        path
        for path in directory.rglob("*")
        if path.is_file()
        and (_BESIDE.match(path.name) or (own_code and _CODE.match(path.name)))
        and not _UNRELATED.match(path.name)
    )
    return Checkpoint(
        id=model,
        system=found.system,
        revision=found.revision,
        directory=directory,
        config=config,
        weights_sha256=sound_weights(directory, model, cache_dir),
        beside_sha256=hash_files(beside, cache_dir),
        own_code=own_code,
    )


def _needs_own_code(config: dict[str, Any]) -> bool:
    """Whether transformers does not know the architecture, but the checkpoint's Python files do."""
    if not config.get("auto_map"):
        return False
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return config.get("model_type") not in CONFIG_MAPPING_NAMES
