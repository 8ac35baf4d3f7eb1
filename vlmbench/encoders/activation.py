"""QuickGELU or GELU: a CLIP that is run with the other one than it was trained with scores lower and says nothing.

OpenAI trained with QuickGELU, and so did MetaCLIP and DFN; LAION's and DataComp's models have GELU (open_clip's
``pretrained.py`` and the ``-quickgelu`` variants of its model names; MetaCLIP's README). MetaCLIP 2 has both, and says
``quickgelu`` in the name of those. Where these sources tell nothing of a model, nothing is said.
"""

import re
from collections.abc import Mapping
from typing import Any

QUICK = "quick_gelu"
_DEFAULT = {"clip": QUICK, "metaclip_2": QUICK}
_TRAINED = (
    (r"quickgelu", QUICK),
    (r"^openai/", QUICK),
    (r"^facebook/metaclip-(?!2)(?!.*altogether)", QUICK),
    (r"^apple/dfn(?!.*-39b)", QUICK),
    (r"^(laion|datacomp)/", "gelu"),
)


def activation_warning(id: str, config: Mapping[str, Any]) -> str | None:
    """Why the activation in a CLIP's ``config.json`` looks wrong; none where it does not.

    Args:
        id: hub id, alias or directory.
        config: the checkpoint's configuration.
    """
    family = config.get("model_type")
    if family not in _DEFAULT:
        return None
    towers = {
        name: (config.get(f"{name}_config") or {}).get("hidden_act", _DEFAULT[str(family)])
        for name in ("text", "vision")
    }
    if towers["text"] != towers["vision"]:
        return f"its text side says {towers['text']} and its image side {towers['vision']}"
    expected = next((act for pattern, act in _TRAINED if re.search(pattern, id.lower())), None)
    if expected is not None and towers["vision"] != expected:
        return f"its config says {towers['vision']}, and it was trained with {expected}"
    return None
