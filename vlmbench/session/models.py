"""The models of a session: each found once, and loaded once it has something to do."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vlmbench.captioners.registry import CAPTIONERS
from vlmbench.encoders.activation import activation_warning
from vlmbench.encoders.device import resolve_device, resolve_engine, resolve_precision
from vlmbench.encoders.families import ASIF
from vlmbench.encoders.files import ModelFiles
from vlmbench.encoders.models import find_model, load_model
from vlmbench.encoders.names import ModelRef
from vlmbench.foundations.errors import AbsentError, UsageError
from vlmbench.records.result import ModelFacts
from vlmbench.session.context import Context


@dataclass
class OpenModel:
    """A model that is found, and loaded once it has something to do."""

    files: ModelFiles
    load: Callable[[], Any]

    @cached_property
    def encoder(self) -> Any:
        """The adapter, loaded when first needed."""
        return self.load()

    def get(self) -> Any:
        """The same, as a function."""
        return self.encoder

    @property
    def loaded(self) -> bool:
        """Whether it has been needed."""
        return "encoder" in self.__dict__

    @property
    def facts(self) -> ModelFacts:
        """Its part of a record."""
        files = self.files
        return ModelFacts(
            id=files.id,
            revision=files.revision,
            weights_sha256=files.weights_sha256,
            kind=files.family.kind if files.family is not ASIF else ASIF.name,
            trust_remote_code=files.own_code,
        )


class Models:
    """Opens models by name."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._opened: dict[ModelRef, OpenModel] = {}

    @cached_property
    def device(self) -> str:
        """cpu, cuda or mps; beside workers with a GPU, the CPU where this machine has none."""
        requested = self.context.device if self.engine is None else "cpu"
        if self.context.pool is None or requested in ("cpu", "auto"):
            return resolve_device(requested)
        try:
            return resolve_device(requested)
        except AbsentError:
            self.context.pool.device(requested)
            return "cpu"

    @cached_property
    def engine(self) -> str | None:
        """What runs the encoders; none: torch."""
        return resolve_engine(self.context.engine, self.context.device)

    @cached_property
    def precision(self) -> str:
        """fp32, bf16 or fp16; by default what suits those who encode images."""
        context, pool = self.context, self.context.pool
        if pool is None or context.precision != "auto" or self.engine is not None:
            return resolve_precision(context.precision, self.device)
        return resolve_precision("auto", pool.device(context.device))

    def open(self, ref: ModelRef) -> OpenModel:
        """The model of a name.

        Raises:
            UsageError: it is a captioner.
            VlmbenchError: see `encoders.models.find_model`.
        """
        if ref not in self._opened:
            context, name = self.context, str(ref)
            if name in CAPTIONERS:
                raise UsageError(f"{name} is a captioner", where=name, fix=f"vlmbench caption -m {name}")
            files = find_model(ref, context.cache_dir, trusted=context.trust_remote_code)
            if self.engine is not None and not files.family.exports:
                raise UsageError(
                    f"{name} ({files.family.name}) runs in torch alone", where="--engine", fix="leave --engine out"
                )
            if files.own_code:
                context.reporter.warn(f"{name}: running the Python code that came with it (--trust-remote-code)")
            reason = activation_warning(files.source, files.config)
            if reason is not None:
                context.reporter.warn(f"{name}: {reason}; a wrong activation lowers every score silently")
            self._opened[ref] = OpenModel(files, lambda: self._load(files))
        return self._opened[ref]

    def _load(self, files: ModelFiles) -> Any:
        context = self.context
        if self.engine is None:
            return load_model(files, self.device, self.precision, context.reporter)
        from vlmbench.encoders.engine import load_exported

        return load_exported(files, self.precision, context.cache_dir, context.reporter)
