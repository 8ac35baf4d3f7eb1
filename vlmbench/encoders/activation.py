"""QuickGELU or GELU: a CLIP that is run with the other one than it was trained with scores lower and says nothing.

OpenAI trained with QuickGELU, and so did MetaCLIP, DFN and their kin; LAION's and DataComp's models have GELU
(open_clip, docs/openclip_results.csv and the ``-quickgelu`` variants of its model names).
"""

from collections.abc import Mapping
from typing import Any

QUICK = "quick_gelu"
_DEFAULT = {"clip": QUICK, "metaclip_2": QUICK}
_OWNERS = {"openai": QUICK, "facebook": QUICK, "apple": QUICK, "laion": "gelu", "datacomp": "gelu"}


def doubt(id: str, config: Mapping[str, Any]) -> str | None:
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
    owner = id.split("/")[0].lower()
    expected = _OWNERS.get(owner)
    if "quickgelu" in id.lower():
        expected = QUICK
    if expected is not None and towers["vision"] != expected:
        return f"its config says {towers['vision']}, and models of {owner} were trained with {expected}"
    return None
