"""``open-clip:ARCH/PRETRAINED``: models that live in open_clip alone, such as OpenAI's ResNet CLIPs (an extra).

PRETRAINED is one of open_clip's tags for ARCH, or a checkpoint file.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from vlmbench.data.fingerprint import kept_sha256
from vlmbench.encoders.base import PROJ, TEXT_BATCH, Scale
from vlmbench.encoders.families import DUAL, Family
from vlmbench.encoders.files import ModelFiles
from vlmbench.encoders.names import OpenClipRef
from vlmbench.foundations.errors import AbsentError, InputError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.notes import read_note, write_note
from vlmbench.foundations.paths import is_file
from vlmbench.foundations.progress import Reporter
from vlmbench.foundations.text import visible

INSTALL = "pip install 'vlmbench-eval[open-clip]'"
FAMILY = Family("open_clip", DUAL, "vlmbench.encoders.openclip:OpenClipEncoder", (PROJ,))


def open_clip_files(ref: OpenClipRef, cache_dir: Path, trusted: bool) -> ModelFiles:
    """The checkpoint of a model of open_clip, fetched by open_clip where it is not here.

    Raises:
        AbsentError: open_clip is not installed, there is no such model, or it cannot be fetched.
    """
    name, arch, tag = str(ref), ref.arch, ref.pretrained
    about = _about(ref, cache_dir)
    known, weights = about["known"], Path(about["weights"] or tag)
    return ModelFiles(
        id=name,
        source=name,
        system=f"{arch}/{tag if known else weights.stem}",
        revision=None,
        directory=weights,
        config={"arch": arch, "tag": tag, "quick_gelu": about["quick_gelu"], "known": bool(known)},
        family=FAMILY,
        weights_sha256=kept_sha256(weights, cache_dir),
        preprocessing_sha256=digest([arch, about["config"], known, _version()]),
        tokenizer_sha256=digest([arch, _version()]),
    )


def _about(ref: OpenClipRef, cache_dir: Path) -> dict[str, Any]:
    """What open_clip says of a model, kept in the cache: importing it takes as long as a short run.

    Its configuration, what is known of its weights, and where they are; an unknown tag is a file.
    """
    name, arch, tag = str(ref), ref.arch, ref.pretrained
    note = cache_dir / "open-clip" / f"{digest([arch, tag, _version()])[:32]}.json"
    kept: dict[str, Any] | None = read_note(note)
    if kept is not None and is_file(kept["weights"] or tag):
        return kept
    library = _library()
    config = library.get_model_config(arch)
    if config is None:
        raise AbsentError(f"open_clip has no architecture {visible(arch)}", where=name, fix="open_clip.list_models()")
    known = library.get_pretrained_cfg(arch, tag) or {}
    if not known and not is_file(tag):
        tags = ", ".join(library.list_pretrained_tags_by_model(arch)) or "none"
        raise AbsentError(
            f"open_clip has no weights {visible(tag)} for {visible(arch)}", where=name, fix=f"one of {tags}"
        )
    try:
        weights = library.download_pretrained(known) if known else ""
    except Exception as error:
        raise AbsentError(
            f"cannot fetch {visible(name)}: {visible(str(error))}", where=name, fix="try again with a network"
        ) from error
    quick = bool(known.get("quick_gelu"))
    found = {"config": config, "known": _plain(known), "quick_gelu": quick, "weights": str(weights)}
    write_note(note, found)
    return found


def activation_warning(config: Mapping[str, Any]) -> str | None:
    """Why the activation looks wrong: weights trained with QuickGELU in an architecture without it."""
    own = _library().get_model_config(config["arch"]) or {}
    if config["quick_gelu"] and not own.get("quick_gelu", False) and config["tag"] != "openai":
        return (
            f"these weights were trained with QuickGELU and {config['arch']} has none: {config['arch']}-quickgelu does"
        )
    return None


class OpenClipEncoder:
    """A model of open_clip, with its own preparation, tokenizer and logit scale."""

    layers: tuple[str, ...] = (PROJ,)

    def __init__(self, files: ModelFiles, device: str, precision: str, reporter: Reporter) -> None:
        import torch

        library = _library()
        arch, tag = files.config["arch"], files.config["tag"]
        if (reason := activation_warning(files.config)) is not None:
            reporter.warn(f"{files.id}: {reason}")
        try:
            model, _, self._transform = library.create_model_and_transforms(
                arch, pretrained=tag, precision=precision, device=device
            )
        except (RuntimeError, ValueError, OSError, KeyError) as error:
            raise InputError(
                f"cannot load {visible(files.id)}: {visible(str(error))}",
                where=str(files.directory),
                fix="get it again",
            ) from error
        self.model = model.eval().requires_grad_(False)
        self._text = _text_tower(self.model)
        self.tokenizer = library.get_tokenizer(arch)
        self.device, self.dtype = torch.device(device), {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision)

    @property
    def scale(self) -> Scale:
        """The checkpoint's logit scale and bias."""
        bias = getattr(self.model, "logit_bias", None)
        return Scale(float(self.model.logit_scale.float().exp()), float(bias) if bias is not None else 0.0)

    def preprocess(self, image: Image) -> np.ndarray:
        """An RGB image to pixels [3, H, W] float32."""
        return np.asarray(self._transform(image), np.float32)

    def encode_images(self, pixels: np.ndarray) -> Mapping[str, np.ndarray]:
        """Pixels [B, 3, H, W] float32 to ``proj`` [B, D] float32, un-normalised."""
        import torch

        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device, self.dtype or torch.float32)
            return {PROJ: self.model.encode_image(batch).float().cpu().numpy()}

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Texts [T] to un-normalised embeddings [T, D] float32."""
        import torch

        parts = []
        with torch.inference_mode():
            for start in range(0, len(texts), TEXT_BATCH):
                tokens = self.tokenizer(list(texts[start : start + TEXT_BATCH])).to(self.device)
                parts.append(self._text(tokens).float().cpu().numpy())
        return np.concatenate(parts)


def _text_tower(model: Any) -> Callable[[Any], Any]:
    """``encode_text`` of tokens [B, L], where it can be without the padding behind the longest text.

    open_clip pads every text to the context, 77 tokens of which a prompt has ten. Where attention is causal and the
    token that ends a text is what is read, nothing behind it has an effect.
    """
    import torch

    whole: Callable[[Any], Any] = model.encode_text
    tower = getattr(model, "text", model)
    pool = getattr(tower, "text_pool_type", getattr(tower, "pool_type", None))
    mask, positions = getattr(tower, "attn_mask", None), getattr(tower, "positional_embedding", None)
    if mask is None or positions is None or getattr(tower, "cls_emb", None) is not None:
        return whole
    if pool not in ("argmax", "eos") or not torch.equal(mask.isneginf(), torch.ones_like(mask).triu(1).bool()):
        return whole

    class EncodeText(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, tokens: Any) -> Any:
            return whole(tokens)

    module, where = EncodeText(), "model." if tower is model else "model.text."
    end = getattr(tower, "text_eos_id", getattr(tower, "eos_id", None))

    def encode(tokens: Any) -> Any:
        ends = tokens.argmax(dim=-1) if pool == "argmax" else (tokens == end).int().argmax(dim=-1)
        longest = int(ends.max()) + 1
        shorter = {"positional_embedding": positions[:longest], "attn_mask": mask[:longest, :longest]}
        values = {where + name: value for name, value in shorter.items()}
        return torch.func.functional_call(module, values, (tokens[:, :longest],))

    return encode


def _version() -> str:
    try:
        return version("open_clip_torch")
    except PackageNotFoundError as error:
        raise _absent(error) from error


def _library() -> Any:
    try:
        _version()
        import open_clip
    except ImportError as error:
        raise _absent(error) from error
    return open_clip


def _absent(error: Exception) -> AbsentError:
    return AbsentError("open_clip cannot be imported", where=visible(str(error)), fix=INSTALL)


def _plain(config: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in sorted(config.items())}
