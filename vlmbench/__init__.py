"""vlmbench: zero-shot CLIP against a linear probe, and caption metrics without Java.

The names below are imported when they are first used: ``import vlmbench`` imports no torch, no NumPy, no pandas.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlmbench import errors as errors
    from vlmbench import metrics as metrics
    from vlmbench.api.calls import linear_probe as linear_probe
    from vlmbench.api.calls import retrieval as retrieval
    from vlmbench.api.calls import score_captions as score_captions
    from vlmbench.api.calls import zeroshot as zeroshot
    from vlmbench.api.comparing import check as check
    from vlmbench.api.comparing import compare as compare
    from vlmbench.api.comparing import load_runs as load_runs
    from vlmbench.api.results import CheckOutcome as CheckOutcome
    from vlmbench.api.results import Comparison as Comparison
    from vlmbench.api.results import Result as Result
    from vlmbench.api.results import Results as Results
    from vlmbench.heads.estimator import LinearProbe as LinearProbe

__version__ = "0.1.0"

_PLACES = {
    **dict.fromkeys(("linear_probe", "retrieval", "score_captions", "zeroshot"), "vlmbench.api.calls"),
    **dict.fromkeys(("check", "compare", "load_runs"), "vlmbench.api.comparing"),
    **dict.fromkeys(("CheckOutcome", "Comparison", "Result", "Results"), "vlmbench.api.results"),
    "LinearProbe": "vlmbench.heads.estimator",
}
_MODULES = ("errors", "metrics")

__all__ = [
    "CheckOutcome",
    "Comparison",
    "LinearProbe",
    "Result",
    "Results",
    "check",
    "compare",
    "errors",
    "linear_probe",
    "load_runs",
    "metrics",
    "retrieval",
    "score_captions",
    "zeroshot",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_PLACES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
