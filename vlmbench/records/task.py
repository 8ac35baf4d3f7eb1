"""Tasks are declared once; records, tables, tests, the gate, ``verify``, lists and plans read the declaration.

Another installed package adds a task by an entry point in the group ``vlmbench.tasks``, with the task's name:

    [project.entry-points."vlmbench.tasks"]
    counting = "my_package.counting:SPEC"
"""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, SerializerFunctionWrapHandler, model_serializer

from vlmbench.foundations.errors import AbsentError, InputError
from vlmbench.foundations.plugins import Registry, nearest
from vlmbench.foundations.text import visible

if TYPE_CHECKING:
    from vlmbench.records.result import Record

GROUP = "vlmbench.tasks"
_BUILT_IN = Registry(
    "task",
    {
        "zeroshot": "vlmbench.records.classification:ZEROSHOT",
        "linear-probe": "vlmbench.records.classification:PROBE",
        "caption-eval": "vlmbench.records.captions:SPEC",
        "retrieval": "vlmbench.records.retrieval:SPEC",
        "metric-eval": "vlmbench.records.agreement:SPEC",
    },
)
"""In the order of lists and of tables."""

Number = int | float


class Fields(BaseModel):
    """A typed part of a record: immutable, strict about types and unknown fields.

    A field with a default is absent on disk if it is None; one without is always there, as null if it is None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=(), defer_build=True)

    @model_serializer(mode="wrap")
    def _on_disk(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        known = type(self).model_fields
        return {
            known[name].alias or name if name in known else name: value
            for name, value in serialize(self).items()
            if value is not None or name not in known or known[name].is_required()
        }

    def given(self) -> dict[str, Any]:
        """The fields that are not None, unchanged."""
        return {name: value for name, value in self if value is not None}


class TaskProtocol(Fields):
    """What decides a number besides system, data and seed; each task has its own fields."""

    metric: str | None = None
    """The main metric, for tasks that have one."""
    intervals: str | None = None
    """How the intervals are made."""
    resamples: int | None = None
    """Bootstrap resamples."""

    @property
    def scored(self) -> list[str]:
        """The metrics that a run must have."""
        return [] if self.metric is None else [self.metric]

    def values(self) -> dict[str, JsonValue]:
        """The fields as in ``result.json``, sorted by name."""
        return dict(sorted(self.model_dump(mode="json").items()))


class EncodedProtocol(TaskProtocol):
    """The protocol of a task that encodes the images of a split."""

    layer: str | None = None
    precision: str | None = None
    engine: str | None = None
    """What ran the encoders; none: torch."""
    preprocessing_sha256: str | None = None
    tokenizer_sha256: str | None = None
    """Of a figure that texts have a part in."""
    limit: int | None = None
    """Images that were drawn."""
    decode: str | None = None
    """``reduced:672``: large images were decoded at reduced scale, to a shorter side of 672 pixels or more."""
    views: str | None = None
    """Crops or tiles of an image that are encoded."""
    holdout: float | None = None
    """The share of a single split that is held out for testing."""
    asif_k: int | None = None
    asif_p: Number | None = None
    anchors: str | None = None
    """Fingerprint of ASIF's anchors."""


class TaskDetail(Fields):
    """What explains a number; each task has its own fields."""

    left_out: dict[str, str] | None = None
    """Metrics that could not be computed, and why."""
    not_defined: str | None = None
    """Why there is no figure at all."""


@dataclass(frozen=True)
class ColumnRule:
    """What a numeric per-sample column must satisfy."""

    low: float = -inf
    high: float = inf
    whole: bool = False
    """Integers only."""
    lists: bool = False
    even: bool = False
    """Lists of equal length."""
    classes: bool = False
    """Below the record's number of classes."""


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """One task.

    What would import an encoder or a table is a ``"module:attr"`` and is imported when used (`load`).

    Attributes:
        name: the name in records, plans and on the command line.
        definition: what it measures, in one line.
        family: the family of its metrics (`vlmbench.metrics.spec.MetricSpec.family`). They are computed from its
            per-sample columns when it runs and when it is verified; they also decide what a baseline stores per image.
        role: for classification, the table column that shows it: ``zero-shot`` needs no labels, ``probe`` was
            trained on some.
        protocol: the class of a record's `protocol`; a subclass of `records.classification.ClassificationProtocol`
            where images have classes.
        detail: the class of a record's `detail`.
        columns: what its per-sample file must have besides ``id``; of several sets, the first whose first column is
            there.
        rules: what these columns must satisfy.
        repeated: whether an image can have several rows.
        gated: what the gate compares: the ``main`` metric of a run, ``all`` of its metrics, or ``none``.
        verify: record and per-sample columns to inconsistencies other than the figures, one sentence each.
        request: the class of its requests.
        check: request and session to the passes over images (`vlmbench.tasks.base.Pass`); reports errors before
            anything runs.
        run: request, context and session (None: a new one) to the runs that it has written.
        command: its command line.
        table: runs, pairs and results of other programs to its table, which several tasks can share;
            empty: systems by metrics.
    """

    name: str
    definition: str
    family: str
    role: Literal["", "zero-shot", "probe"] = ""
    protocol: type[TaskProtocol]
    detail: type[TaskDetail] = TaskDetail
    columns: tuple[tuple[str, ...], ...]
    rules: Mapping[str, ColumnRule] = field(default_factory=dict)
    repeated: bool = False
    gated: Literal["main", "all", "none"] = "all"
    verify: "Callable[[Record, Mapping[str, Any]], list[str]] | None" = None
    request: str
    check: str
    run: str
    command: str
    table: str = ""

    def __post_init__(self) -> None:
        wrong = [] if re.fullmatch("[a-z][a-z0-9-]*", self.name) else ["name"]
        wrong += [key for key in ("definition", "family") if not getattr(self, key).strip()]
        wrong += [] if self.columns and all(self.columns) else ["columns"]
        targets = ["request", "check", "run", "command", *(["table"] if self.table else [])]
        wrong += [key for key in targets if not re.fullmatch(r"[\w.]+:\w+", getattr(self, key))]
        if wrong:
            raise InputError(f"the task {self.name} is not fully declared: {', '.join(wrong)}", where=GROUP)

    def load(self, part: Literal["request", "check", "run", "command", "table"]) -> Any:
        """The object of one of the lazy attributes; `InputError` where it cannot be imported."""
        module, _, attribute = str(getattr(self, part)).partition(":")
        plugin = None if self.name in _BUILT_IN else tasks().added.get(self.name)
        with plugin.blamed(f"its {part} cannot be loaded") if plugin else nullcontext():
            return getattr(import_module(module), attribute)


@cache
def tasks() -> Registry:
    """Every task by name, none imported: this package's, and those of other installed packages. Raises `InputError`
    where a package declares one that exists already."""
    return _BUILT_IN.with_installed(GROUP)


@cache
def task_spec(name: str) -> TaskSpec:
    """The task called `name`; `AbsentError`, with similar names or all, where there is none, `InputError` where another
    package's cannot be loaded, or is not a task."""
    known = _BUILT_IN if name in _BUILT_IN else tasks()  # searching entry points takes a while
    if name not in known:
        all_names = f"one of {', '.join(known)}; or install the package that adds it"
        raise AbsentError(f"no such task: {visible(name)}", fix=nearest(name, known, all_names))
    found: TaskSpec = known.load(name, TaskSpec)
    return found


def task_specs() -> list[TaskSpec]:
    """Every task, in the order of lists and tables."""
    return [task_spec(name) for name in tasks()]


def specs_of(names: Iterable[str], *, own: bool = False) -> list[TaskSpec]:
    """The tasks named, with `own` and all of this package's, in order; others that are installed are not looked for."""
    wanted = {*names, *(_BUILT_IN if own else ())}
    return [task_spec(name) for name in sorted(wanted, key=lambda name: ((*_BUILT_IN, name).index(name), name))]
