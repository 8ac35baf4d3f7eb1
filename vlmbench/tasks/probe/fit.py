"""A linear-probe request, and one fit of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np

from vlmbench.foundations.errors import UsageError
from vlmbench.foundations.text import visible
from vlmbench.heads.fitted import fit_once
from vlmbench.heads.spec import CHOOSE, LOGISTIC, OPTIONS, TEST_IMAGES, FittedHead, HeadData, HeadRef, LinearHead
from vlmbench.records.classification import FitDetail, Trial
from vlmbench.session.session import Session
from vlmbench.tasks.probe.data import TEST, TRAIN, VAL, ProbeData


@dataclass(frozen=True)
class ProbeRequest:
    """A linear-probe request: the arguments of `vlmbench.linear_probe`.

    None means all labels among `shots`, a search as `c`, and the default as `layer`; `save` is a file to save the probe
    in, `load` a saved probe to score instead of training one.
    """

    models: Sequence[str] = ()
    datasets: Sequence[str] = ()
    features: Path | None = None
    shots: Sequence[int | None] = (None,)
    seeds: int = 5
    heads: Sequence[str] = (LOGISTIC,)
    c: float | None = None
    solver: str = "native"
    refit: bool = False
    layer: str | None = None
    normalised: bool = False
    prompts: Sequence[str] = ()
    limit: int | None = None
    metric: str | None = None
    target: float | None = None
    holdout: float | None = None
    save: Path | None = None
    load: Path | None = None
    test_on: Sequence[str] = ()
    class_map: Path | None = None
    corrupt: str | None = None

    @property
    def shifted(self) -> bool:
        """Whether there are test sets other than the training set's own."""
        return bool(self.test_on) or self.corrupt is not None

    @property
    def head(self) -> HeadRef:
        """The head of a request of one head."""
        (name,) = self.heads
        return HeadRef.parse(name)

    def by_head(self) -> list[Self]:
        """A request for each head, ``logistic`` first, with which the others are compared."""
        names = sorted(dict.fromkeys(self.heads), key=lambda name: name != LOGISTIC)
        return [replace(self, heads=(name,)) for name in names]

    @property
    def from_text(self) -> bool:
        """Whether the head gets the zero-shot classifier."""
        return self.head.spec.text

    @property
    def unit(self) -> bool:
        """Whether features are scaled to unit length."""
        return self.normalised or self.from_text or self.head.spec.unit

    @property
    def validates(self) -> bool:
        """Whether the head chooses a hyperparameter: no value is given for one of those that it can choose."""
        defaults, settings = self.head.spec.settings, self.settings(refit=False)
        open_ones = [settings[key] is None for key, default in defaults.items() if default is None]
        return self.head.spec.validation and (any(open_ones) or not open_ones)

    @property
    def on_test(self) -> bool:
        """Whether the head chooses its hyperparameters on the test set, as asked for."""
        return self.head.settings.get(CHOOSE) == TEST_IMAGES and self.validates

    def settings(self, *, refit: bool) -> dict[str, Any]:
        """The head's hyperparameters, as requested."""
        own = {"c": self.c, "solver": self.solver, "refit": refit}
        return {key: own.get(key, value) for key, value in self.head.settings.items()}

    def check(self) -> None:
        """Checks a request by itself.

        Raises:
            AbsentError: there is no such head.
            UsageError: options contradict each other, or something is missing.
        """
        heads = [HeadRef.parse(name) for name in self.heads]
        if self.load is not None:
            if not self.datasets:
                raise UsageError("nothing to score the probe on", where="--load-probe", fix="-d DATASET")
            return
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
        if self.features is not None and self.shifted:
            _refuse("test_on" if self.test_on else "corrupt", "needs a model and a dataset, not a features file")
        if self.class_map is not None and not self.test_on:
            _refuse("class_map", "is for the classes of --test-on")
        if self.features is not None and self.holdout is not None:
            _refuse("holdout", "is for datasets with a single split; a features file has x_test")
        listed = ", ".join(self.heads)
        for name in OPTIONS:
            if getattr(self, name) not in (None, "native", False) and not any(name in one.settings for one in heads):
                _refuse(name, f"is for the head {LOGISTIC}, not {listed}")
        for one in heads:
            what = f"the head {one.name}"
            if self.features is not None and one.spec.text:
                raise UsageError(
                    f"{what} needs a model with a text encoder, not a features file",
                    where="--features",
                    fix="-m MODEL and -d DATASET",
                )
            if one.spec.text and "solver" in one.settings and self.solver != "native":
                raise UsageError(f"{what} needs vlmbench's own solver", where="--solver", fix="--solver native")
        pairs = 1 if self.features is not None else len(set(self.models)) * len(set(self.datasets))
        if self.save is not None and (pairs > 1 or len(heads) > 1):
            _refuse("save_probe", "saves one probe", "give one model, one dataset and one head")
        if self.save is not None and not heads[0].spec.linear:
            _refuse("save_probe", f"only saves heads that are linear in the features, and {listed} is not")

    def check_labels(self, dataset: str, *, multilabel: bool) -> None:
        """Checks that heads and shots can be used for a dataset.

        Raises:
            UsageError: its images have several labels, and a head or a number of shots needs one.
        """
        if multilabel and set(self.shots) != {None}:
            raise UsageError("few-shot samples need one label per image", where=dataset, fix="--shots all")
        for one in self.by_head() if multilabel else []:
            if not one.head.spec.multilabel:
                raise UsageError(
                    f"the head {one.head.name} needs one label per image", where=dataset, fix=f"--head {LOGISTIC}"
                )


def _refuse(name: str, why: str, fix: str | None = None) -> NoReturn:
    what = f"--{name.replace('_', '-')}"
    raise UsageError(f"{what} {why}", where=what, fix=fix or f"leave out {what}")


@dataclass(frozen=True)
class Fitted:
    """A fitted head.

    Attributes:
        head: it.
        detail: its part of a record: chosen settings, classes without images.
        stored: whether it was in the cache.
    """

    head: FittedHead
    detail: FitDetail
    stored: bool


def fit_split(split: ProbeData, request: ProbeRequest, session: Session, *, refit: bool) -> Fitted:
    """A head fitted to the training images of `split`, unless the cache has it."""
    spec, context = request.head.spec, session.context
    device = "cpu" if request.features is not None and context.device == "auto" else session.device
    chosen_on = TEST if request.on_test else VAL
    validated = spec.validation and chosen_on in split.x and len(split.x[chosen_on]) > 0
    read: Any = (lambda x: x) if set(OPTIONS) <= set(spec.settings) else np.asarray  # the logistic probe reads blocks
    head, stored = fit_once(
        spec,
        HeadData(
            x=read(split.x[TRAIN]),
            y=split.y[TRAIN],
            classes=len(split.classnames),
            x_val=read(split.x[chosen_on]) if validated else None,
            y_val=split.y[chosen_on] if validated else None,
            metric=split.metric,
            zero_shot=split.zero_shot if request.from_text else None,
            settings=request.settings(refit=refit),
            seed=context.seed,
            device=device if device.startswith("cuda") else "cpu",
            label=f"{split.system} on {split.dataset.id}",
            reporter=context.reporter,
        ),
        context.cache_dir,
    )
    detail: dict[str, Any] = dict(head.detail) if "c" in spec.settings else {"head": dict(head.detail)}
    if "search" in detail:
        detail["search"] = [Trial.model_validate(row) for row in detail["search"]]
    present = set(np.unique(split.y[TRAIN]).tolist())
    missing = [] if split.multilabel else [name for index, name in enumerate(split.classnames) if index not in present]
    if missing:
        text_only = spec.text and not (isinstance(head, LinearHead) and np.isneginf(head.intercept).any())
        one = len(missing) == 1
        what = ("known by its name" if one else "known by their names") + " alone" if text_only else "never predicted"
        classes = f"the class {visible(missing[0])} has" if one else f"{len(missing)} classes have"
        context.reporter.warn(f"{split.dataset.id}: {classes} no training image and {'is' if one else 'are'} {what}")
    return Fitted(head, FitDetail(**detail, classes_without_training_images=missing or None), stored)
