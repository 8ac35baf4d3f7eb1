"""vlmbench: zero-shot CLIP against a linear probe, and caption metrics without Java.

The names below are imported when they are first used: ``import vlmbench`` imports no torch, no NumPy, no pandas.
"""

TYPE_CHECKING = False  # `typing` takes longer to import than all that happens before signals are handled

if TYPE_CHECKING:
    from typing import Any

    from vlmbench import errors as errors
    from vlmbench import metrics as metrics
    from vlmbench.api.calls import linear_probe as linear_probe
    from vlmbench.api.calls import metric_eval as metric_eval
    from vlmbench.api.calls import retrieval as retrieval
    from vlmbench.api.calls import zeroshot as zeroshot
    from vlmbench.api.captioning import CaptionResult as CaptionResult
    from vlmbench.api.captioning import CaptionResults as CaptionResults
    from vlmbench.api.captioning import caption as caption
    from vlmbench.api.captioning import score_captioners as score_captioners
    from vlmbench.api.captioning import score_captions as score_captions
    from vlmbench.api.comparing import check as check
    from vlmbench.api.comparing import compare as compare
    from vlmbench.api.comparing import load_runs as load_runs
    from vlmbench.api.comparing import save_baseline as save_baseline
    from vlmbench.api.comparing import verify as verify
    from vlmbench.api.jobs import run_plan as run_plan
    from vlmbench.api.planning import PowerPlan as PowerPlan
    from vlmbench.api.planning import power as power
    from vlmbench.api.results import CheckOutcome as CheckOutcome
    from vlmbench.api.results import Comparison as Comparison
    from vlmbench.api.results import Result as Result
    from vlmbench.api.results import Results as Results
    from vlmbench.api.rows import Embeddings as Embeddings
    from vlmbench.api.rows import Predictions as Predictions
    from vlmbench.api.rows import Rows as Rows
    from vlmbench.api.rows import Verification as Verification
    from vlmbench.api.tools import demo as demo
    from vlmbench.api.tools import doctor as doctor
    from vlmbench.api.tools import embed as embed
    from vlmbench.api.tools import list_datasets as list_datasets
    from vlmbench.api.tools import list_heads as list_heads
    from vlmbench.api.tools import list_metrics as list_metrics
    from vlmbench.api.tools import list_models as list_models
    from vlmbench.api.tools import list_prompts as list_prompts
    from vlmbench.api.tools import list_tasks as list_tasks
    from vlmbench.api.tools import predict as predict
    from vlmbench.heads.estimator import LinearProbe as LinearProbe

__version__ = "0.1.0"

_MODULES = ("errors", "metrics")
_NAMES = {
    "api.calls": ("linear_probe", "metric_eval", "retrieval", "zeroshot"),
    "api.captioning": ("CaptionResult", "CaptionResults", "caption", "score_captioners", "score_captions"),
    "api.comparing": ("check", "compare", "load_runs", "save_baseline", "verify"),
    "api.jobs": ("run_plan",),
    "api.planning": ("PowerPlan", "power"),
    "api.results": ("CheckOutcome", "Comparison", "Result", "Results"),
    "api.rows": ("Embeddings", "Predictions", "Rows", "Verification"),
    "api.tools": (
        "demo",
        "doctor",
        "embed",
        "predict",
        *(f"list_{what}" for what in ("datasets", "heads", "metrics", "models", "prompts", "tasks")),
    ),
    "heads.estimator": ("LinearProbe",),
}
_PLACES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted([*_MODULES, *_PLACES])


def __getattr__(name: str) -> "Any":
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
