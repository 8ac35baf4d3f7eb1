"""``timm:NAME``: image backbones of timm for the probe (an extra). ``timm:NAME/FILE`` takes the weights of a file."""

import hashlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from vlmbench.encoders.base import PRE_PROJ
from vlmbench.encoders.families import BACKBONE, Family
from vlmbench.encoders.files import ModelFiles
from vlmbench.encoders.names import TimmRef
from vlmbench.foundations.errors import AbsentError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.progress import Reporter
from vlmbench.foundations.text import visible

INSTALL = "pip install 'vlmbench-eval[timm]'"
FAMILY = Family("timm", BACKBONE, "vlmbench.encoders.timm_models:TimmBackbone", (PRE_PROJ,))


def timm_files(ref: TimmRef, cache_dir: Path, trusted: bool) -> ModelFiles:
    """The weights of a model of timm, fetched by timm where they are not here; they are hashed as loaded.

    Raises:
        AbsentError: timm is not installed, or has no such model or weights.
    """
    model = _create(ref)
    total = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        total.update(key.encode() + tensor.cpu().contiguous().numpy().tobytes())
    data = _library().data.resolve_model_data_config(model)
    return ModelFiles(
        id=str(ref),
        source=str(ref),
        system=ref.arch,
        revision=None,
        directory=Path(),
        config={"ref": ref},
        family=FAMILY,
        weights_sha256=total.hexdigest(),
        preprocessing_sha256=digest(
            [str(TimmRef(ref.arch)), {key: str(value) for key, value in data.items()}, version("timm")]
        ),
        tokenizer_sha256="",
    )


class TimmBackbone:
    """A model of timm without its classifier: what it pools, as timm pools it."""

    layers: tuple[str, ...] = (PRE_PROJ,)

    def __init__(self, files: ModelFiles, device: str, precision: str, reporter: Reporter) -> None:
        import torch

        dtypes = {"fp16": torch.float16, "bf16": torch.bfloat16}
        self.dtype = dtypes.get(precision, torch.float32)
        self.device = torch.device(device)
        self.model = _create(files.config["ref"]).to(self.device, self.dtype)
        library = _library()
        self._transform = library.data.create_transform(
            **library.data.resolve_model_data_config(self.model), is_training=False
        )

    def preprocess(self, image: Image) -> np.ndarray:
        """An RGB image to pixels [3, H, W] float32."""
        return np.asarray(self._transform(image), np.float32)

    def encode_images(self, pixels: np.ndarray) -> Mapping[str, np.ndarray]:
        """Pixels [B, 3, H, W] float32 to ``pre_proj`` [B, D] float32, un-normalised."""
        import torch

        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device, self.dtype)
            return {PRE_PROJ: self.model(batch).float().cpu().numpy()}


def _create(ref: TimmRef) -> Any:
    try:
        weights = {"checkpoint_path": ref.file} if ref.file else {"pretrained": True}
        model = _library().create_model(ref.arch, num_classes=0, **weights)
    except AbsentError:
        raise
    except Exception as error:
        raise AbsentError(
            f"timm cannot give {visible(ref.arch)}: {visible(str(error))}",
            where=visible(str(ref)),
            fix="timm.list_pretrained()",
        ) from error
    return model.eval().requires_grad_(False)


def _library() -> Any:
    try:
        version("timm")
        import timm
        import timm.data
    except (PackageNotFoundError, ImportError) as error:
        raise AbsentError("timm cannot be imported", where=visible(str(error)), fix=INSTALL) from error
    return timm
