"""Heads: classifiers on frozen features, each declared once, in one file.

A module of `vlmbench.heads` with ``SPEC = HeadSpec(name="…", …)`` at its top level is found automatically, and imported
when it is chosen. Another installed package adds a head by an entry point in the group ``vlmbench.heads``, with the
head's name:

    [project.entry-points."vlmbench.heads"]
    nearest-mean = "my_package.nearest_mean:SPEC"
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.plugins import Registry
from vlmbench.foundations.progress import Reporter, Silent
from vlmbench.foundations.text import visible
from vlmbench.heads.zeroshot import ZeroShotWeights
from vlmbench.metrics.choice import DEFAULT
from vlmbench.metrics.classification import columns_by_block, metrics_from_samples, sample_columns, softmax
from vlmbench.metrics.spec import ClassificationSpec, find

T = TypeVar("T")
GROUP = "vlmbench.heads"
LOGISTIC = "logistic"
"""The default head."""
TOLERANCE = 1e-6
"""Of the logistic probe: largest entry of the gradient, in the objective's scale, as scikit-learn's `tol`."""
RELATIVE = 1e-5
"""Remaining improvement, as a share of the objective: limits the influence of the start for large c."""
MAX_ITER = 1000
OPTIONS = ("c", "solver", "refit")
"""Settings that have options of their own on the command line, and fields of their own in a record."""
CHOOSE, VALIDATION_IMAGES, TEST_IMAGES = "choose", "validation", "test"
"""The setting of heads whose public code chooses hyperparameters on the test set: ``choose=test`` does it too."""


class FittedHead(Protocol):
    """A fitted head."""

    @property
    def detail(self) -> Mapping[str, JsonValue]:
        """The fit's part of a record, for example hyperparameters chosen on validation images."""

    def logits(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """Logits `[N, C]` of features `[N, D]`: their softmax (several labels: each one's sigmoid) is reported."""


@dataclass(frozen=True)
class LinearHead:
    """A fitted head that is linear in the features, which can be saved as a probe file.

    Attributes:
        coef: `[C, D]` float64.
        intercept: `[C]` float64; minus infinity for a class that is never predicted.
        multilabel: whether each class has a sigmoid of its own.
        detail: the fit's part of a record.
    """

    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]
    multilabel: bool = False
    detail: Mapping[str, Any] = field(default_factory=dict)

    def logits(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Logits `[N, C]` of features `[N, D]`."""
        return np.asarray(np.asarray(x, dtype=np.float64) @ self.coef.T + self.intercept)

    def probabilities(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Probabilities `[N, C]` of features `[N, D]`; multi-label: each independently."""
        return probabilities(self, x, multilabel=self.multilabel)


@dataclass(frozen=True, kw_only=True)
class HeadData:
    """The data a head is fitted to.

    Attributes:
        x: training features `[N, D]`, of unit length with `normalize` or if the head uses text.
        y: labels `[N]` from 0 to `classes` - 1 (a class may have no images); several labels: `[N, C]` of 0 and 1.
        classes: C.
        x_val: features of validation images `[M, D]`, to choose hyperparameters by; None: there are none.
        y_val: their labels.
        metric: the metric that hyperparameters are chosen by.
        zero_shot: class weights `[C, D]` from text, with the model's logit scale, if the head uses text.
        settings: the head's hyperparameters by name.
        seed: seed of the head's randomness.
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        label: model and dataset, for messages.
        reporter: receives progress and warnings.
    """

    x: NDArray[np.floating]
    y: NDArray[np.integer]
    classes: int
    x_val: NDArray[np.floating] | None = None
    y_val: NDArray[np.integer] | None = None
    metric: str
    zero_shot: ZeroShotWeights | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "cpu"
    label: str = ""
    reporter: Reporter = field(default_factory=Silent)

    @property
    def multilabel(self) -> bool:
        """Whether an image can have several labels."""
        return self.y.ndim == 2

    @property
    def text(self) -> ZeroShotWeights:
        """The zero-shot classifier of a head that uses text."""
        if self.zero_shot is None:
            raise ValueError("the head needs the zero-shot classifier")
        return self.zero_shot

    def validate(self, head: FittedHead) -> tuple[float, float]:
        """The metric (higher is better) and the mean log-loss (lower is better) on the validation images.

        If the metric is undefined there (a class is absent), it is 0, and the log-loss alone decides.
        """
        if self.x_val is None:
            raise ValueError("there are no validation images")
        if self.multilabel:
            logits = head.logits(np.asarray(self.x_val))
            return self.score(logits), self.log_loss(logits)
        truth = np.asarray(self.y_val)
        columns = head_columns(head, self.x_val, truth, [""] * len(truth))
        loss = -np.log(np.maximum(columns["probability"], np.finfo(np.float64).tiny)).mean()
        return self._figure(columns), float(loss)

    def choose(self, candidates: Iterable[tuple[T, NDArray[np.floating]]]) -> tuple[T, dict[str, JsonValue]]:
        """The candidate whose logits on the validation images are best, and its part of a record.

        The metric decides, among ties the log-loss, then the first.

        Args:
            candidates: hyperparameters with the logits `[M, C]` that they give.
        """
        best: tuple[float, float] | None = None
        for candidate, logits in candidates:
            score = self.score(logits)
            if best is not None and score < best[0]:
                continue
            rank = (score, -self.log_loss(logits))
            if best is None or rank > best:
                best, chosen = rank, candidate
        if best is None:
            raise ValueError("there are no candidates")
        return chosen, {"validation_score": best[0], "validation_log_loss": -best[1]}

    def score(self, logits: NDArray[np.floating]) -> float:
        """The metric of logits `[M, C]` of the validation images; 0 where it is undefined."""
        truth = np.asarray(self.y_val)
        if self.metric == DEFAULT and not self.multilabel:
            return float((logits.argmax(axis=1) == truth).mean())
        return self._figure(sample_columns(_probabilities(logits, self.multilabel), truth, [""] * len(truth)))

    def _figure(self, columns: Mapping[str, Any]) -> float:
        """The metric of per-sample columns of the validation images; 0 where it is undefined."""
        spec = find(self.metric)
        if isinstance(spec, ClassificationSpec) and spec.undefined(np.asarray(self.y_val)):
            return 0.0
        return metrics_from_samples(columns, [self.metric], 0, resamples=0)[self.metric].value

    def log_loss(self, logits: NDArray[np.floating]) -> float:
        """The mean log-loss of logits `[M, C]` of the validation images."""
        found, truth, tiny = _probabilities(logits, self.multilabel), np.asarray(self.y_val), np.finfo(np.float64).tiny
        if self.multilabel:
            right = np.where(truth == 1, found, 1 - found)
            return float(-np.log(np.maximum(right, tiny)).sum(axis=1).mean())
        return float(-np.log(np.maximum(found[np.arange(len(truth)), truth], tiny)).mean())


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """A head.

    Attributes:
        name: the name in ``--head``, tables and records: lower case, digits, hyphens, plus signs.
        definition: what it does, in one line.
        source: the paper or program that defines it.
        fit: fits it.
        settings: its hyperparameters with their defaults, recorded in the protocol.
        text: whether it needs the zero-shot classifier; features are then those after the projection, of unit length.
        unit: whether it needs features of unit length, as if with `normalize`.
        validation: whether it chooses hyperparameters on validation images; if not, it gets none. With settings that
            are None, only while one of them is (None: chosen).
        multilabel: whether images can have several labels.
        linear: whether it fits a `LinearHead`, so that ``--save-probe`` can save it.
        restore: makes the fitted head again of the data, the arrays among its attributes, and its `detail`; None: a
            fit is not stored (`vlmbench.heads.fitted`). That of a linear head is known.
    """

    name: str
    definition: str
    source: str
    fit: Callable[[HeadData], FittedHead]
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    text: bool = False
    unit: bool = False
    validation: bool = False
    multilabel: bool = False
    linear: bool = False
    restore: Callable[[HeadData, Mapping[str, NDArray[Any]], Mapping[str, Any]], FittedHead] | None = None

    def __post_init__(self) -> None:
        if self.linear and self.restore is None:
            object.__setattr__(self, "restore", _restore_linear)
        wrong = [key for key in ("definition", "source") if not getattr(self, key).strip()]
        wrong += [] if re.fullmatch("[a-z][a-z0-9+-]*", self.name) else ["name"]
        if wrong:
            raise InputError(f"the head {self.name} is not fully declared: {', '.join(wrong)}", where=GROUP)


def _restore_linear(data: HeadData, arrays: Mapping[str, NDArray[Any]], detail: Mapping[str, Any]) -> LinearHead:
    return LinearHead(arrays["coef"], arrays["intercept"], data.multilabel, detail)


@dataclass(frozen=True)
class HeadRef:
    """A head as a user names it (its `str`): ``NAME``, or with settings other than its defaults
    ``NAME?setting=value&setting=value``."""

    name: str
    options: tuple[tuple[str, JsonValue], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parses a name; `AbsentError` where there is no such head, `UsageError` where it has no such setting, or the
        value is invalid."""
        name, mark, rest = text.partition("?")
        spec = load_head(name)
        known = [key for key in spec.settings if key not in OPTIONS]
        found: dict[str, JsonValue] = {}
        for part in rest.split("&") if mark else []:
            key, equals, value = part.partition("=")
            if not equals or key not in known:
                raise UsageError(
                    f"the head {name} has no setting {visible(key)}",
                    where=f"--head {visible(text)}",
                    fix=f"settings of {name}: {', '.join(known) or 'none'}",
                )
            found[key] = _setting(value, spec.settings[key], key, text)
        return cls(name, tuple(found.items()))

    def __str__(self) -> str:
        return self.name + "?" * bool(self.options) + "&".join(f"{key}={value}" for key, value in self.options)

    @property
    def spec(self) -> "HeadSpec":
        """The head's declaration."""
        return load_head(self.name)

    @property
    def settings(self) -> dict[str, JsonValue]:
        """All of the head's settings."""
        return {**self.spec.settings, **dict(self.options)}


def _setting(value: str, default: JsonValue, key: str, text: str) -> JsonValue:
    """A setting's value, of its default's type: a word, a whole number, or a number; numbers are above 0."""
    if isinstance(default, str):
        if key != CHOOSE or value in (VALIDATION_IMAGES, TEST_IMAGES):
            return value
        fix = f"{key}={VALIDATION_IMAGES} or {key}={TEST_IMAGES}"
    else:
        fix = f"{key} is a {'whole ' * isinstance(default, int)}number above 0"
        try:
            number = json.loads(value)
        except ValueError:
            number = None
        kinds = (int,) if isinstance(default, int) else (int, float)
        if isinstance(number, kinds) and not isinstance(number, bool) and 0 < number < math.inf:
            return number
    raise UsageError(f"{key} cannot be {visible(value)}", where=f"--head {visible(text)}", fix=fix)


def probabilities(head: FittedHead, x: NDArray[np.floating], *, multilabel: bool) -> NDArray[np.float64]:
    """Probabilities `[N, C]` of features `[N, D]`: softmax over classes; multi-label: a sigmoid for each class."""
    return _probabilities(head.logits(np.asarray(x)), multilabel)


def _probabilities(logits: NDArray[np.floating], multilabel: bool) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(logits / 2))) if multilabel else softmax(logits)


def head_columns(head: FittedHead, x: Any, y: NDArray[np.integer], ids: Sequence[str]) -> dict[str, Any]:
    """The per-sample columns (`metrics.classification.sample_columns`) of features `[N, D]` with labels `y`."""
    multilabel = y.ndim == 2
    return columns_by_block(lambda rows: probabilities(head, x[rows], multilabel=multilabel), y, ids, x.shape[1])


@cache
def heads() -> Registry:
    """Every head by name, the default first, none imported: this package's, and those of other installed packages.
    Raises `InputError` where a package declares one that exists already."""
    own = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        declared = re.search(r'^SPEC = HeadSpec\(\s*name="([^"]+)"', path.read_text("utf-8"), re.MULTILINE)
        if declared:
            own[declared[1]] = f"vlmbench.heads.{path.stem}:SPEC"
    first = {LOGISTIC: own.pop(LOGISTIC)}
    return Registry("head", first | own).with_installed(GROUP)


def load_head(name: str) -> HeadSpec:
    """The head called `name`; `AbsentError`, with similar names, where there is none, `InputError` where another
    package's cannot be loaded, or is not a head."""
    found: HeadSpec = heads().load(name, HeadSpec)
    return found
