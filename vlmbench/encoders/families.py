"""Which architectures vlmbench knows, by the ``model_type`` and ``architectures`` of a ``config.json``.

Nothing heavy is imported here: the adapter of a family is a lazy ``"module:attr"`` target.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.text import visible

DUAL = "dual-encoder"
BACKBONE = "backbone"
TEXT = "text-encoder"


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes:
        name: its ``model_type``.
        kind: `DUAL`, `BACKBONE` or `TEXT`.
        adapter: lazy target of the adapter class.
        layers: what the image side gives.
        stored: the layers that are stored; one that is not, is the first of these.
    """

    name: str
    kind: str
    adapter: str
    layers: tuple[str, ...]
    stored: tuple[str, ...]

    def stored_as(self, layer: str) -> str:
        """The stored layer that holds `layer`."""
        return layer if layer in self.stored else self.stored[0]


_DUAL = "vlmbench.encoders.dual:"
_BACKBONE = "vlmbench.encoders.backbone:"
_BOTH = ("proj", "pre_proj")


def _dual(name: str, adapter: str, *, projected: bool = True) -> Family:
    return Family(name, DUAL, _DUAL + adapter, _BOTH, _BOTH if projected else ("proj",))


def _text(name: str) -> Family:
    return Family(name, TEXT, "vlmbench.encoders.texts:MeanPooledTexts", (), ())


def _backbone(name: str, adapter: str) -> Family:
    return Family(name, BACKBONE, _BACKBONE + adapter, ("pre_proj",), ("pre_proj",))


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        _dual("clip", "ClipEncoder"),
        _dual("metaclip_2", "ClipEncoder"),
        _dual("altclip", "ClipEncoder"),
        _dual("chinese_clip", "ClipEncoder"),
        _dual("siglip", "SiglipEncoder", projected=False),
        _dual("siglip2", "SiglipEncoder", projected=False),
        _dual("vision-text-dual-encoder", "ClipEncoder"),
        _dual("align", "AlignEncoder", projected=False),
        _dual("blip", "BlipEncoder"),
        _backbone("resnet", "PooledBackbone"),
        _backbone("convnext", "PooledBackbone"),
        _backbone("convnextv2", "PooledBackbone"),
        _backbone("swin", "PooledBackbone"),
        _backbone("swinv2", "PooledBackbone"),
        _backbone("regnet", "PooledBackbone"),
        _backbone("vit", "ClassTokenBackbone"),
        _backbone("deit", "ClassTokenBackbone"),
        _backbone("dinov2", "ClassTokenBackbone"),
        _backbone("dinov2_with_registers", "ClassTokenBackbone"),
        _backbone("dinov3_vit", "ClassTokenBackbone"),
        _backbone("dinov3_convnext", "PooledBackbone"),
        _backbone("clip_vision_model", "PooledBackbone"),
        _backbone("siglip_vision_model", "PooledBackbone"),
        _backbone("siglip2_vision_model", "PooledBackbone"),
        _text("bert"),
        _text("distilbert"),
        _text("roberta"),
        _text("xlm-roberta"),
        _text("mpnet"),
    )
}


ASIF = Family("asif", DUAL, "", ("proj",), ("proj",))
"""Two encoders coupled by an anchor set; it has no checkpoint of its own."""

OWN_CODE = _dual("own code", "OwnCodeEncoder", projected=False)
"""A dual encoder whose architecture is in Python files beside its weights."""


def family_of(config: Mapping[str, Any], where: str, *, trusted: bool = False) -> Family:
    """The family of a checkpoint.

    Args:
        config: its ``config.json``.
        where: its directory.
        trusted: whether code that came with it may be run, where vlmbench has no adapter for it.

    Raises:
        InputError: an architecture that vlmbench does not know; those it does are named.
    """
    name = config.get("model_type")
    if isinstance(name, str) and name in FAMILIES:
        return FAMILIES[name]
    if config.get("auto_map"):
        if trusted:
            return OWN_CODE
        raise own_code_refused(config, where)
    known = ", ".join(sorted(FAMILIES))
    raise InputError(
        f"vlmbench has no adapter for the architecture {visible(str(name))!r}; it knows {known}",
        where=f"{where}, model_type in config.json",
        fix="name a model of one of these, or score features of your own: vlmbench linear-probe --features FILE",
    )


def own_code_refused(config: Mapping[str, Any], where: str) -> InputError:
    """The error for a checkpoint that brings code of its own, which the user has not said they trust."""
    name = visible(str(config.get("model_type")))
    return InputError(
        f"the architecture {name!r} comes with code of its own, which is not run unasked",
        where=f"{where}, auto_map in config.json",
        fix="read its Python files; if you trust them: --trust-remote-code",
    )
