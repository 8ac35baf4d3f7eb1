"""Pure functions from predictions or tokens to scores, intervals and tests.

`bleu`, `rouge_l`, `meteor` and `cider` take raw captions; they are imported when first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlmbench.metrics.captions.functions import bleu as bleu
    from vlmbench.metrics.captions.functions import cider as cider
    from vlmbench.metrics.captions.functions import meteor as meteor
    from vlmbench.metrics.captions.functions import rouge_l as rouge_l

__all__ = ["bleu", "cider", "meteor", "rouge_l"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module("vlmbench.metrics.captions.functions"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
