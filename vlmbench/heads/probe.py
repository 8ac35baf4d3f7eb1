"""The head ``logistic``: the linear probe of Radford et al. 2021 (appendix A.3), its strength searched on validation
images; what ``vlmbench linear-probe`` and `LinearProbe` fit.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.features.table import Table
from vlmbench.heads.fewshot import NO_VALIDATION_C
from vlmbench.heads.spec import MAX_ITER, TOLERANCE, HeadData, HeadSpec

if TYPE_CHECKING:
    from vlmbench.heads.logistic import Fit
    from vlmbench.heads.search import Trains


def fit(data: HeadData) -> "Fit":
    """Searches the strength where there are validation images and none is given, and fits.

    Settings: ``c`` (None: searched), ``solver`` (``native``, or ``sklearn``: the oracle), ``refit`` (once more on
    training and validation images, at the strength that was chosen), ``tol`` and ``max_iter`` (see `logistic.Trainer`).
    With `HeadData.zero_shot` the probe starts from the text classifier and is shrunk towards it.

    Returns:
        The fit; `detail` has strength, iterations, convergence and every strength that was tried.
    """
    from vlmbench.heads.search import most_trials, search_strength

    settings = data.settings
    c, tol, max_iter = settings.get("c"), settings.get("tol", TOLERANCE), settings.get("max_iter", MAX_ITER)
    detail: dict[str, Any] = {}
    trainer = _trainer(data, data.x, data.y)
    if c is None and data.x_val is not None:
        with data.reporter.task(f"strengths for {data.label}", most_trials()) as advance:
            found = search_strength(trainer, data.validate, tol=tol, max_iter=max_iter, tried=advance)
        best, detail["search"] = found.best, [trial.row() for trial in found.trials]
        detail["search_metric"] = data.metric
        failed = [trial for trial in found.trials if not trial.converged]
        if failed:
            _warn(data, f"{len(failed)} of {len(found.trials)} fits of the search", max_iter)
    else:
        best, _ = trainer.fit(NO_VALIDATION_C if c is None else c, tol=tol, max_iter=max_iter)
    if settings.get("refit") and data.x_val is not None and data.y_val is not None:
        both = Table([data.x, data.x_val], dtype=data.x.dtype), np.concatenate([data.y, data.y_val])
        best, _ = _trainer(data, *both).fit(best.c, tol=tol, max_iter=max_iter)
    if not best.converged:
        _warn(data, "the final fit", max_iter)
    return replace(best, detail={**detail, "c": best.c, "iterations": best.iterations, "converged": best.converged})


def _trainer(data: HeadData, x: Any, y: NDArray[np.integer]) -> "Trains":
    if data.settings.get("solver") == "sklearn":
        from vlmbench.heads.oracle import SklearnTrainer

        return SklearnTrainer(x, y, classes=data.classes)
    from vlmbench.heads.logistic import Trainer

    text = data.zero_shot
    prior = None if text is None else text.weights * np.float32(text.logit_scale)
    return Trainer(x, y, classes=data.classes, prior=prior, device=data.device)


def _warn(data: HeadData, what: str, max_iter: int) -> None:
    data.reporter.warn(f"{data.label}: {what} did not converge in {max_iter} steps; the record says which")


SPEC = HeadSpec(
    name="logistic",
    definition="L2-regularised logistic regression, its strength searched on validation images",
    source="Radford et al. 2021, appendix A.3",
    fit=fit,
    settings={"c": None, "solver": "native", "refit": False},
    validation=True,
    multilabel=True,
    linear=True,
)
