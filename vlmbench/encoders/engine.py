"""Encoders whose towers run in OpenVINO, on a CPU.

A tower (the image side with the layers that are stored, the text side) is exported from torch once per checkpoint and
kept in the cache with its checksum. torch's own model stays beside it: the first batch of every shape is encoded by
both, and a difference above the tolerance is refused.
"""

import shutil
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from vlmbench.encoders.device import INSTALL_OPENVINO
from vlmbench.encoders.families import TEXT
from vlmbench.encoders.files import ModelFiles
from vlmbench.encoders.models import load_model
from vlmbench.foundations.atomic import atomic_directory, exclusive
from vlmbench.foundations.errors import AbsentError, InputError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.notes import vouch, vouched
from vlmbench.foundations.progress import Reporter
from vlmbench.foundations.text import visible

FORMAT = 1
"""Of an export; changes with what an adapter's tower computes."""
TOLERANCE = {"fp32": 1e-5, "bf16": 5e-2, "fp16": 5e-3}
"""The largest distance of a row from that of torch in fp32, as a share of its norm. Measured over all families: 1e-6 in
fp32, 4e-3 (ViT-B/32) to 2e-2 (tiny random models) in bf16."""
_TEXTS = "texts"
_EXAMPLES = ["a photo", "a photo of a dog that runs"]
"""Of different lengths, so that the padding mask is part of what is traced."""

Tensors = dict[str, torch.Tensor]
Side = Callable[[Tensors], Tensors]


def load_exported(files: ModelFiles, precision: str, cache_dir: Path, reporter: Reporter) -> Any:
    """The adapter of a model with its towers in OpenVINO; exported now where the cache lacks them.

    Args:
        files: the model, of a family that `exports`.
        precision: fp32, bf16 or fp16.
        cache_dir: where exports are kept.
        reporter: hears of loading, exporting and the differences from torch.

    Raises:
        AbsentError: OpenVINO cannot be imported, or does not have this precision on this CPU.
        InputError: the model cannot be loaded or exported.
    """
    engine = _Engine(_library(), files, precision, cache_dir, reporter)
    engine.require_precision()
    encoder = load_model(files, "cpu", "fp32", reporter)
    if files.family.kind != TEXT:
        blank = encoder.preprocess(Image.new("RGB", (64, 48)))
        example = encoder.preprocess.inputs(np.stack([blank, blank]), encoder.device, encoder.dtype)
        if len(example) > 1:  # SigLIP 2 NaFlex: positions are resized by numbers that a trace would keep
            raise engine.cannot("run images of several aspect ratios")
        encoder.image_tower = engine.tower("images", encoder.image_tower, example)
    if (text := getattr(encoder, "text_tower", None)) is not None:
        exported = engine.tower(_TEXTS, lambda batch: {_TEXTS: text(batch)}, encoder.tokens(_EXAMPLES))
        encoder.text_tower = lambda batch: exported(batch)[_TEXTS]
    return encoder


@dataclass(frozen=True)
class _Engine:
    """OpenVINO for one model."""

    library: Any
    files: ModelFiles
    precision: str
    cache_dir: Path
    reporter: Reporter

    def require_precision(self) -> None:
        """Refuses what the CPU would only emulate.

        Raises:
            AbsentError: it does.
        """
        there = self.library.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if self.precision.upper() not in there:
            raise AbsentError(
                f"OpenVINO has no {self.precision} on this CPU", where="--precision", fix="--precision fp32"
            )

    def tower(self, side: str, reference: Side, example: Tensors) -> "_Tower":
        """A side of the model, compiled for this CPU.

        Args:
            side: ``images`` or ``texts``.
            reference: it in torch.
            example: arguments for two images or texts.

        Raises:
            InputError: it cannot be exported.
        """
        layers = list(reference(example))
        core, names = self.library.Core(), list(example)
        settings = {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "fp16": "f16"}.get(self.precision, self.precision),
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
        }
        try:
            model = core.read_model(self._exported(side, reference, example, layers))
            compiled = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise self.cannot(f"compile the side of {side}", error) from error
        return _Tower(self, side, compiled, reference, names, layers)

    def cannot(self, what: str, error: Exception | None = None) -> InputError:
        """The error for what OpenVINO cannot do with the model."""
        lines = [line for line in str(error or "").splitlines() if line.strip()]
        reason = f": {visible(lines[-1].strip())}" if lines else ""
        return InputError(
            f"OpenVINO cannot {what} of {visible(self.files.id)} ({self.files.family.name}){reason}",
            where="--engine openvino",
            fix="--engine torch",
        )

    def _exported(self, side: str, reference: Side, example: Tensors, layers: list[str]) -> Path:
        """Where the export lies; made where it is absent or damaged."""
        files = self.files
        hashes = (files.weights_sha256, files.preprocessing_sha256)
        versions = [version(name) for name in ("openvino", "torch", "transformers")]
        directory = self.cache_dir / "openvino" / digest([FORMAT, side, layers, *hashes, *versions])[:32]
        parts = [directory / "model.xml", directory / "model.bin"]
        with exclusive(directory.with_suffix(".lock")):
            if not all(map(vouched, parts)):
                shutil.rmtree(directory, ignore_errors=True)
                with self.reporter.task(f"exporting the side of {side} of {files.id} to OpenVINO", None):
                    model = self._traced(side, reference, example)
                    with atomic_directory(directory) as temporary:
                        self.library.save_model(model, temporary / parts[0].name, compress_to_fp16=False)
                for part in parts:
                    vouch(part)
        return parts[0]

    def _traced(self, side: str, reference: Side, example: Tensors) -> Any:
        try:
            with warnings.catch_warnings(), torch.inference_mode():
                warnings.simplefilter("ignore")  # what a trace keeps is checked by its results
                model = self.library.convert_model(
                    _Traced(reference, list(example)), example_input=(*example.values(),)
                )
            if len(model.inputs) != len(example):
                raise RuntimeError("an argument has no effect")
            if side != _TEXTS:
                model.reshape({0: self.library.PartialShape([-1, *next(iter(example.values())).shape[1:]])})
        except Exception as error:  # of many types, torch's own among them
            raise self.cannot(f"export the side of {side}", error) from error
        return model


@dataclass
class _Tower:
    """One side of a model in OpenVINO, called as torch's is: arguments by name to what each layer gives."""

    engine: _Engine
    side: str
    compiled: Any
    reference: Side
    names: list[str]
    layers: list[str]
    _checked: set[tuple[int, ...]] = field(default_factory=set)

    def __call__(self, inputs: Tensors) -> Tensors:
        """A batch of any size.

        Raises:
            InputError: the results are too far from torch's.
        """
        arguments = [inputs[name] for name in self.names]
        try:
            values = self.compiled([argument.numpy() for argument in arguments]).values()
        except RuntimeError as error:
            raise self.engine.cannot(f"run the side of {self.side}", error) from error
        found = {layer: torch.from_numpy(value) for layer, value in zip(self.layers, values, strict=True)}
        shape = tuple(arguments[0].shape)
        if shape not in self._checked:
            self._check(found, self.reference(inputs))
            self._checked.add(shape)
        return found

    def _check(self, found: Tensors, expected: Tensors) -> None:
        engine, limit = self.engine, TOLERANCE[self.engine.precision]
        different = max(distance(found[layer], expected[layer]) for layer in self.layers)
        what = f"{engine.files.id}, {self.side}: OpenVINO {engine.precision} is {different:.1e} from torch fp32"
        if not different <= limit:
            raise InputError(
                f"{visible(what)}, and {limit:.0e} of a row's norm is tolerated",
                where="--engine openvino",
                fix="--engine torch",
            )
        if not self._checked:
            engine.reporter.note(f"{visible(what)}, as a share of a row's norm")


class _Traced(torch.nn.Module):
    """A side as a module with positional arguments and results, as a trace needs it."""

    def __init__(self, side: Side, names: list[str]) -> None:
        super().__init__()
        self.side, self.names = side, names

    def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Arguments in order to what each layer gives, in order."""
        return tuple(self.side(dict(zip(self.names, values, strict=True))).values())


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest distance between rows [B, D] as a share of the expected row's norm; infinite where shapes differ."""
    if found.shape != expected.shape:
        return float("inf")
    norms = torch.linalg.vector_norm(expected.double(), dim=1).clamp_min(1e-12)
    return float((torch.linalg.vector_norm(found.double() - expected.double(), dim=1) / norms).max())


def _library() -> Any:
    """OpenVINO without its telemetry: importing it and every export would report to Google Analytics, and it takes a
    stub where that package is absent."""
    reports: Mapping[str, Any] = sys.modules
    if "openvino" not in reports and "openvino_telemetry" not in reports:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino
        from openvino import convert_model  # noqa: F401 - absent where a dependency of it is
    except ImportError as error:
        raise AbsentError(
            f"OpenVINO cannot be imported: {visible(str(error))}", where="--engine openvino", fix=INSTALL_OPENVINO
        ) from error
    return openvino
