"""Metrics are declared once, next to their function; tables, tests, the gate, lists and help read the declaration.

A module of `vlmbench.metrics` that defines ``SPEC`` (one spec) or ``SPECS`` (several) at its top level is found
automatically. Another installed package adds a metric by an entry point in the group ``vlmbench.metrics`` whose object
is a spec or several:

    [project.entry-points."vlmbench.metrics"]
    cohen_kappa = "my_package.kappa:SPEC"
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.plugins import Plugin, plugins

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vlmbench.metrics.differences import Difference
    from vlmbench.records.result import Metric

Columns = Mapping[str, Any]
"""Per-sample columns, `[N]` each (`[N, K]` if a sample has a list), of a run or of a baseline."""
Compute = Callable[[Columns, int, int], "Metric"]
Test = Callable[[Sequence["MetricSpec"], Columns, Columns], "Mapping[str, Difference]"]

GROUP = "vlmbench.metrics"
FAMILIES = ("classification", "captions", "retrieval", "agreement")
"""The families of this package's tasks, in the order of lists; other packages' tasks can have their own."""


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """One metric.

    Attributes:
        name: the name in records, options and JSON: lower case, digits, underscores.
        title: the name in tables.
        family: the kind of task that has it (`vlmbench.records.task.TaskSpec.family`).
        definition: what it measures, in one line.
        source: the paper or program that defines it.
        blind_to: what it does not measure, so that nobody reads more into it.
        range: its lowest and highest possible values.
        columns: the per-sample columns it is computed from.
        compute: columns, seed and bootstrap resamples (0: no interval) to the figure; None if the metrics of the
            family are computed together (`vlmbench.metrics.figures`; only in this package's families).
        per_image: columns to a figure for each image, `[N]`, whose mean is the metric (unless a caption metric has a
            `total`); None: there are no per-image figures.
        test: how two systems are compared on the same images: the name of a test (`differences.TESTS`), or a function
            of specs and two systems' columns; None: not tested, and `untested` says why.
        untested: why there is no paired test.
        keeps: what a baseline stores per image for `test`, by name, each a function of the columns; None: `columns`
            unchanged. `per_image` and `test` also accept these stored columns.
        higher_is_better: the direction.
        in_sentences: the name in a sentence; None: `title`.
        order: its position in lists and tables.
        elsewhere: its names in result files of other programs.
    """

    name: str
    title: str
    family: str
    definition: str
    source: str
    blind_to: str
    range: tuple[float, float] = (0.0, 1.0)
    columns: tuple[str, ...] = ()
    compute: Compute | None = None
    per_image: "Callable[[Columns], NDArray[np.float64]] | None" = None
    test: str | Test | None = None
    untested: str = ""
    keeps: Mapping[str, Callable[[Columns], Any]] = field(default_factory=dict)
    higher_is_better: bool = True
    in_sentences: str = ""
    order: int = 100
    elsewhere: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wrong = [key for key in ("title", "definition", "source", "blind_to") if not getattr(self, key).strip()]
        wrong += ["name"] if not re.fullmatch("[a-z][a-z0-9_]*", self.name) else []
        wrong += ["family"] if not self.family else []
        wrong += ["range"] if not self.range[0] < self.range[1] else []
        wrong += ["untested"] if (self.test is None) != bool(self.untested) else []
        wrong += ["columns"] if not self.columns_of({}) else []
        if wrong:
            raise InputError(f"the metric {self.name} is not fully declared: {', '.join(wrong)}", where=GROUP)

    def columns_of(self, columns: Columns) -> tuple[str, ...]:
        """Those of its columns that such samples have."""
        return self.columns

    def kept(self, columns: Columns) -> dict[str, Any]:
        """What a baseline stores for its paired test, by name, from `columns`; nothing if it has no test."""
        if self.test is None:
            return {}
        if self.keeps:
            return {name: found(columns) for name, found in self.keeps.items()}
        return {name: columns[name] for name in self.columns_of(columns)}

    def testable(self, columns: Columns) -> bool:
        """Whether `columns`, from a baseline, are enough for its paired test."""
        return self.test is not None and set(self.keeps or self.columns_of(columns)) <= set(columns)

    def better(self, value: float) -> float:
        """A figure with its sign changed if lower is better."""
        return value if self.higher_is_better else -value


@dataclass(frozen=True, kw_only=True)
class ClassificationSpec(MetricSpec):
    """A classification metric. If higher is better it can be the main metric (``--metric``).

    Attributes:
        columns: the columns if each image has one label; None: it needs several labels per image.
        multilabel_columns: the columns if images have several labels; None: it needs one label per image.
        classes: the fewest and the most classes it makes sense for; None: any number.
        undefined: labels `[N]`, or `[N, C]` of 0 and 1, to the reason why the figure is undefined; empty if it is
            defined.
        references: images with each class `[C]`, the classes by frequency `[C]`, and the number of images, to the
            scores of the most frequent class and of chance; None: such references make no sense.
        largest_class_decides: whether a large class outweighs the others.
    """

    family: str = "classification"
    compute: Compute
    multilabel_columns: tuple[str, ...] = ()
    classes: tuple[int, int | None] = (1, None)
    undefined: "Callable[[NDArray[np.integer[Any]]], str]" = lambda labels: ""
    references: "Callable[[NDArray[np.int64], NDArray[np.int64], int], tuple[float, float]] | None" = None
    largest_class_decides: bool = False

    def columns_of(self, columns: Columns) -> tuple[str, ...]:
        """The columns for images with one label each, or with several."""
        return self.multilabel_columns if "labels" in columns or not self.columns else self.columns

    def fits(self, classes: int, *, multilabel: bool) -> bool:
        """Whether it makes sense for this number of classes."""
        least, most = self.classes
        return (
            bool(self.multilabel_columns)
            if multilabel
            else bool(self.columns) and least <= classes <= (most or classes)
        )


@dataclass(frozen=True, kw_only=True)
class CaptionSpec(MetricSpec):
    """A caption metric, computed from per-image statistics that are summed over images; the column of its name
    has each image's figure.

    Attributes:
        score: tokens of candidates `[n]` and of each one's references to figures `[n]`, the column of its name; None:
            vlmbench's own scorers fill its columns.
        total: sums of its columns `[..., K]` to the score `[...]`; None: the mean over images.
        needs: what it needs besides the captions: the references of all images (``documents``), METEOR's word
            ``index``, a ``java`` program, the ``images``.
        usual: whether it is scored by default.
        prominence: its position next to single captions in the report; the first is used in sentences; 0: not shown.
    """

    family: str = "captions"
    test: str | Test | None = "summed"
    score: "Callable[[Sequence[Sequence[str]], Sequence[Sequence[Sequence[str]]]], NDArray[np.float64]] | None" = None
    total: "Callable[[NDArray[np.float64]], NDArray[np.float64]] | None" = None
    needs: Literal["", "documents", "index", "java", "images"] = ""
    usual: bool = False
    prominence: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per_image is None:
            object.__setattr__(self, "per_image", column(self.name))

    def columns_of(self, columns: Columns) -> tuple[str, ...]:
        """Its columns; by default the one of its name."""
        return self.columns or (self.name,)


@cache
def specs() -> Mapping[str, MetricSpec]:
    """Every metric by name, in the order of tables: this package's, and those of other installed packages. Raises
    `InputError` where a package's metric cannot be loaded, or exists already."""
    found = {spec.name: spec for spec in _own()}
    for plugin in plugins(GROUP):
        loaded = plugin.load()
        for spec in loaded if isinstance(loaded, list | tuple) else [loaded]:
            if not isinstance(spec, MetricSpec):
                raise plugin.broken("it is not a MetricSpec")
            if spec.name in found:
                raise plugin.broken(f"there is a metric {spec.name} already")
            if spec.family not in FAMILIES:
                _require_family(spec.family, plugin)
            found[spec.name] = spec

    def place(spec: MetricSpec) -> tuple[int, str, int]:
        return (FAMILIES.index(spec.family) if spec.family in FAMILIES else len(FAMILIES), spec.family, spec.order)

    return {spec.name: spec for spec in sorted(found.values(), key=place)}


def _require_family(family: str, plugin: Plugin) -> None:
    from vlmbench.records.task import task_specs

    known = sorted({task.family for task in task_specs()})
    if family not in known:
        raise plugin.broken(f"no task has metrics of the family {family}, but {', '.join(known)}")


def find(name: str) -> MetricSpec | None:
    """The metric called `name`; None if no installed package declares it (a record from another installation)."""
    return specs().get(name)


def of(family: str) -> list[MetricSpec]:
    """The metrics of a family, in the order of tables."""
    return [spec for spec in specs().values() if spec.family == family]


def classification_specs() -> list[ClassificationSpec]:
    """The metrics of classification."""
    return [spec for spec in specs().values() if isinstance(spec, ClassificationSpec)]


def caption_specs() -> list[CaptionSpec]:
    """The metrics of captions."""
    return [spec for spec in specs().values() if isinstance(spec, CaptionSpec)]


def needing(*what: str) -> frozenset[str]:
    """The caption metrics that need one of these (`CaptionSpec.needs`)."""
    return frozenset(spec.name for spec in caption_specs() if spec.needs in what)


def title(name: str) -> str:
    """The title of a metric in tables; its name if no installed package declares it."""
    spec = find(name)
    return name if spec is None else spec.title


def in_sentences(name: str) -> str:
    """The name of a metric in a sentence."""
    spec = find(name)
    return name if spec is None else spec.in_sentences or spec.title


def better(name: str, value: float) -> float:
    """A figure with its sign changed if lower is better."""
    spec = find(name)
    return value if spec is None else spec.better(value)


def has_test(name: str) -> bool:
    """Whether two systems can be compared by a metric."""
    spec = find(name)
    return spec is not None and spec.test is not None


def figure(value: float, low: float | None = None, high: float | None = None) -> "Metric":
    """A figure with its 95 % interval as in a record; records are imported here, since plain functions need none."""
    from vlmbench.records.result import Metric

    return Metric(value=value, low=low, high=high)


def column(name: str) -> Callable[[Columns], Any]:
    """A column unchanged."""
    return lambda columns: columns[name]


def _own() -> Iterable[MetricSpec]:
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        if re.search(r"^SPECS?(: .+)? = ", path.read_text("utf-8"), re.MULTILINE):
            parts = path.relative_to(root).with_suffix("").parts
            module = import_module(".".join((GROUP, *parts)).removesuffix(".__init__"))
            yield from getattr(module, "SPECS", None) or [module.SPEC]
