"""A linear-probe request, and one fit of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from vlmbench.foundations.errors import UsageError
from vlmbench.heads.spec import LOGISTIC, FittedHead, HeadData, load_head
from vlmbench.records.classification import FitDetail, Trial
from vlmbench.session.session import Session
from vlmbench.tasks.probe.data import TRAIN, VAL, ProbeData


@dataclass(frozen=True)
class ProbeRequest:
    """A linear-probe request: the arguments of `vlmbench.linear_probe`.

    None means all labels among `shots`, a search as `c`, and the default as `layer`; `save` is a file to save the probe
    in.
    """

    models: Sequence[str] = ()
    datasets: Sequence[str] = ()
    features: Path | None = None
    shots: Sequence[int | None] = (None,)
    seeds: int = 5
    head: str = LOGISTIC
    c: float | None = None
    solver: str = "native"
    refit: bool = False
    zero_shot_start: bool = False
    layer: str | None = None
    normalised: bool = False
    prompts: Sequence[str] = ()
    limit: int | None = None
    metric: str | None = None
    holdout: float | None = None
    save: Path | None = None

    @property
    def from_text(self) -> bool:
        """Whether the head gets the zero-shot classifier."""
        return self.zero_shot_start or load_head(self.head).text

    def settings(self, *, refit: bool) -> dict[str, Any]:
        """The head's hyperparameters; those of ``logistic`` as requested."""
        own = {"c": self.c, "solver": self.solver, "refit": refit} if self.head == LOGISTIC else {}
        return {**load_head(self.head).settings, **own}

    def check(self) -> None:
        """Checks a request by itself.

        Raises:
            AbsentError: there is no such head.
            UsageError: options contradict each other, or something is missing.
        """
        head = load_head(self.head)
        both = self.features is not None and (self.models or self.datasets)
        if both or (self.features is None and not (self.models and self.datasets)):
            raise UsageError(
                "give a model and a dataset, or a features file",
                where="--features",
                fix="-m MODEL and -d DATASET, or --features FILE",
            )
        if any(k is not None and k < 1 for k in self.shots) or not self.shots or self.seeds < 1:
            raise UsageError(
                "shots and seeds are at least 1", where="--shots", fix="--shots 1,2,4,8,16,all and --seeds 5"
            )
        if self.features is not None and self.holdout is not None:
            _refuse("holdout", "is for datasets with a single split; a features file has x_test")
        chosen = {"c": self.c, "solver": self.solver, "refit": self.refit, "init": self.zero_shot_start}
        for name, value in chosen.items():
            if self.head != LOGISTIC and value not in (None, "native", False):
                _refuse(name, f"is for the head {LOGISTIC}, not {self.head}")
        if self.features is not None and self.from_text:
            what = "--init zeroshot" if self.zero_shot_start else f"--head {self.head}"
            raise UsageError(
                f"{what} needs a model with a text encoder, not a features file",
                where=what,
                fix="-m MODEL and -d DATASET",
            )
        if self.zero_shot_start and self.solver != "native":
            raise UsageError("--init zeroshot needs vlmbench's own solver", where="--solver", fix="--solver native")
        pairs = 1 if self.features is not None else len(set(self.models)) * len(set(self.datasets))
        if self.save is not None and (pairs > 1 or len(self.shots) > 1):
            _refuse("save_probe", "saves one probe", "give one model, one dataset and one number of shots")
        if self.save is not None and not head.linear:
            _refuse("save_probe", f"only saves heads that are linear in the features, and {self.head} is not")


def _refuse(name: str, why: str, fix: str | None = None) -> NoReturn:
    what = f"--{name.replace('_', '-')}"
    raise UsageError(f"{what} {why}", where=what, fix=fix or f"leave out {what}")


def fit_split(
    split: ProbeData, request: ProbeRequest, session: Session, *, refit: bool
) -> tuple[FittedHead, FitDetail]:
    """A head fitted to the training images of `split`, and its part of a record: chosen settings, classes without
    images.
    """
    spec, context = load_head(request.head), session.context
    device = "cpu" if request.features is not None and context.device == "auto" else session.device
    validated = spec.validation and VAL in split.x and len(split.x[VAL]) > 0
    head = spec.fit(
        HeadData(
            x=split.x[TRAIN],
            y=split.y[TRAIN],
            classes=len(split.classnames),
            x_val=split.x[VAL] if validated else None,
            y_val=split.y[VAL] if validated else None,
            metric=split.metric,
            zero_shot=split.zero_shot if request.from_text else None,
            settings=request.settings(refit=refit),
            seed=context.seed,
            device=device if device.startswith("cuda") else "cpu",
            label=f"{split.system} on {split.dataset.id}",
            reporter=context.reporter,
        )
    )
    detail: dict[str, Any] = dict(head.detail) if request.head == LOGISTIC else {"head": dict(head.detail)}
    if "search" in detail:
        detail["search"] = [Trial.model_validate(row) for row in detail["search"]]
    present = set(np.unique(split.y[TRAIN]).tolist())
    missing = [] if split.multilabel else [name for index, name in enumerate(split.classnames) if index not in present]
    if missing:
        context.reporter.warn(
            f"{split.dataset.id}: {len(missing)} classes have no training image and are never predicted"
        )
    return head, FitDetail(**detail, classes_without_training_images=missing or None)
