"""Which architectures vlmbench knows, by the ``model_type`` and ``architectures`` of a ``config.json``.

Nothing heavy is imported here: the adapter of a family is a lazy ``"module:attr"`` target. Another installed package
adds a family by an entry point of the group ``vlmbench.models``, named as the ``model_type`` is, whose object is a
`Family`:

    [project.entry-points."vlmbench.models"]
    my_clip = "my_package.my_clip:FAMILY"
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from vlmbench.encoders.base import PRE_PROJ, PROJ
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.plugins import Plugin, Registry
from vlmbench.foundations.text import visible

GROUP = "vlmbench.models"
DUAL = "dual-encoder"
BACKBONE = "backbone"
TEXT = "text-encoder"


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes:
        name: its ``model_type``.
        kind: `DUAL` (`base.DualEncoder`), `BACKBONE` (`base.ImageEncoder`) or `TEXT`.
        adapter: lazy target of the adapter class, called with `ModelFiles`, device, precision and a `Reporter`.
        layers: what the image side gives: ``proj`` (the space shared with texts), ``pre_proj`` (before the projection).
        stored: the layers of the adapter, which are stored; none: all. One that is not stored is the first of these.
        exports: whether its towers can run in another engine (`vlmbench.encoders.engine`).
        matching: whether the adapter can hold an image against texts one by one (`base.Matching`).
        plugin: the package that declares it; none: it is vlmbench's own.
    """

    name: str
    kind: str
    adapter: str
    layers: tuple[str, ...]
    stored: tuple[str, ...] = ()
    matching: bool = False
    exports: bool = False
    plugin: Plugin | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "stored", self.stored or self.layers)
        known = {DUAL: {PROJ, PRE_PROJ}, BACKBONE: {PRE_PROJ}, TEXT: set()}
        if self.kind not in known:
            raise InputError(f"the model family {self.name} has an unknown kind: {self.kind}", where=GROUP)
        if not set(self.stored) <= set(self.layers) <= known[self.kind] or (self.kind == DUAL) != (PROJ in self.layers):
            raise InputError(f"the model family {self.name} has other layers than a {self.kind} can have", where=GROUP)

    def stored_as(self, layer: str) -> str:
        """The stored layer that holds `layer`."""
        return layer if layer in self.stored else self.stored[0]


_DUAL = "vlmbench.encoders.dual:"
_BACKBONE = "vlmbench.encoders.backbone:"
_TEXT = "vlmbench.encoders.texts:"
_BOTH = (PROJ, PRE_PROJ)


def _dual(name: str, adapter: str, *, projected: bool = True, matching: bool = False) -> Family:
    return Family(name, DUAL, _DUAL + adapter, _BOTH, _BOTH if projected else (PROJ,), matching, exports=True)


def _text(name: str, adapter: str = "MeanPooledTexts") -> Family:
    return Family(name, TEXT, _TEXT + adapter, (), exports=True)


def _backbone(name: str, adapter: str) -> Family:
    return Family(name, BACKBONE, _BACKBONE + adapter, (PRE_PROJ,), exports=True)


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
        _dual("blip", "BlipEncoder", matching=True),
        _backbone("resnet", "PooledBackbone"),
        _backbone("convnext", "PooledBackbone"),
        _backbone("convnextv2", "PooledBackbone"),
        _backbone("swin", "PooledBackbone"),
        _backbone("swinv2", "PooledBackbone"),
        _backbone("regnet", "PooledBackbone"),
        _backbone("vit", "UnpooledBackbone"),
        _backbone("deit", "UnpooledBackbone"),
        _backbone("dinov2", "ClassTokenBackbone"),
        _backbone("dinov2_with_registers", "ClassTokenBackbone"),
        _backbone("dinov3_vit", "ClassTokenBackbone"),
        _backbone("dinov3_convnext", "PooledBackbone"),
        _backbone("clip_vision_model", "PooledBackbone"),
        _backbone("siglip_vision_model", "PooledBackbone"),
        _backbone("siglip2_vision_model", "PooledBackbone"),
        _text("bert", "UnpooledTexts"),
        _text("distilbert"),
        _text("roberta", "UnpooledTexts"),
        _text("xlm-roberta", "UnpooledTexts"),
        _text("mpnet", "UnpooledTexts"),
    )
}


ASIF = Family("asif", DUAL, "", (PROJ,))
"""Two encoders coupled by an anchor set; it has no checkpoint of its own."""

OWN_CODE = _dual("own code", "OwnCodeEncoder", projected=False)
"""A dual encoder whose architecture is in Python files beside its weights."""


@cache
def families() -> Mapping[str, Family]:
    """Every architecture by its ``model_type``: this package's, and those of other installed packages.

    Raises:
        InputError: a package declares a family that cannot be loaded, or one that is there already.
    """
    registry = Registry("model family", {name: family.adapter for name, family in FAMILIES.items()})
    registry = registry.with_installed(GROUP)
    added = {name: replace(registry.load(name, Family), plugin=plugin) for name, plugin in registry.added.items()}
    return {**FAMILIES, **added}


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
    if isinstance(name, str) and name in families():
        return families()[name]
    if config.get("auto_map"):
        if trusted:
            return OWN_CODE
        raise own_code_refused(config, where)
    known = ", ".join(sorted(families()))
    raise InputError(
        f"vlmbench has no adapter for the architecture {visible(str(name))!r}; it knows {known}",
        where=f"{where}, model_type in config.json",
        fix="name a model of one of these, or score features of your own: vlmbench linear-probe --features FILE",
    )


def own_code_refused(config: Mapping[str, Any], where: str) -> InputError:
    """The error for a checkpoint that brings code of its own, which the user has not declared to be trusted."""
    name = visible(str(config.get("model_type")))
    return InputError(
        f"the architecture {name!r} comes with code of its own, which is not run by default",
        where=f"{where}, auto_map in config.json",
        fix="read its Python files; if you trust them: --trust-remote-code",
    )
