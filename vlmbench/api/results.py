"""Results of the API: runs, comparisons and outcomes of the gate, each as a frame, in rich and in HTML."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from vlmbench.foundations.errors import UsageError
from vlmbench.foundations.text import visible
from vlmbench.records.foreign import Foreign
from vlmbench.records.result import Metric, Record
from vlmbench.records.store import StoredRun, read_samples
from vlmbench.report.table import Table as Table

if TYPE_CHECKING:
    import pandas as pd

    from vlmbench.foundations.errors import VlmbenchError
    from vlmbench.report.gate.run import Change, Outcome


def drawn(table: Table) -> Any:
    """A table for `rich.print`, each interval below its figure; of a long table the rows that matter most."""
    from vlmbench.report.terminal import Drawn

    return Drawn(table)


class Shown:
    """Something that consists of tables: `rich.print` draws them, a notebook shows them."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables."""
        raise NotImplementedError

    def __rich__(self) -> Any:
        from rich.console import Group

        return Group(*map(drawn, self.tables)) if self.tables else repr(self)

    def _repr_html_(self) -> str:
        from vlmbench.foundations.text import html
        from vlmbench.report.formats import html_table

        parts = [html_table(one) for table in self.tables for one in table.shown()]
        return "\n".join(parts) or f"<p>{html(repr(self))}</p>"


@dataclass(frozen=True, repr=False)
class Result(Shown):
    """A run: one system on one dataset under one protocol.

    Attributes:
        task: ``zeroshot``, ``linear-probe``, ``retrieval``, ``caption-eval`` or ``metric-eval``.
        system: the name in tables.
        model: the model's id; None for captions from a file or for precomputed features.
        dataset: the dataset's id.
        n: images scored.
        shots: labelled images per class; None: all, or zero-shot.
        seed: random seed for sampling, splits and resampling.
        metrics: each figure with its 95 % interval; fractions are 0 to 1, CIDEr 0 to 10.
        signature: one line that says how the figures were made.
        path: the run's directory.
        record: all of ``result.json``, with protocol and detail.
    """

    task: str
    system: str
    model: str | None
    dataset: str
    n: int
    shots: int | None
    seed: int
    metrics: Mapping[str, Metric] = field(hash=False)
    signature: str
    path: Path
    record: Record = field(hash=False)

    @classmethod
    def of(cls, run: StoredRun) -> "Result":
        """A stored run as a result."""
        record = run.record
        same = {
            name: getattr(record, name) for name in ("task", "system", "n", "shots", "seed", "metrics", "signature")
        }
        model = record.model.id if record.model else None
        return cls(**same, model=model, dataset=record.dataset.id, path=run.path, record=record)

    def __repr__(self) -> str:
        shots = f", {self.shots}-shot" if self.shots is not None else ""
        figures = ", ".join(f"{name} {metric.value:.4g}" for name, metric in self.metrics.items())
        return visible(f"<Result: {self.task} {self.system} on {self.dataset}{shots}, n {self.n}: {figures}>")

    @property
    def run(self) -> StoredRun:
        """The stored run."""
        return StoredRun(self.path, self.record)

    @property
    def tables(self) -> tuple[Table, ...]:
        """The table of this run alone."""
        return Results([self.run]).tables

    def samples(self) -> "pd.DataFrame":
        """The per-sample file, a row per image (of a few-shot run, per image and seed).

        Raises:
            InputError: it is absent or damaged.
        """
        import pandas as pd

        return pd.DataFrame({name: list(column) for name, column in read_samples(self.run).items()})

    def to_dict(self) -> dict[str, Any]:
        """The result as in the document of ``--json``."""
        names = ("task", "system", "model", "dataset", "n", "shots", "seed", "signature")
        metrics = {name: {"value": one.value, "low": one.low, "high": one.high} for name, one in self.metrics.items()}
        return {**{name: getattr(self, name) for name in names}, "path": str(self.path), "metrics": metrics}


class Results(Shown, Sequence[Result]):
    """Runs, in the order they were made or found.

    Attributes:
        runs: the stored runs.
        warnings: the warnings, if no reporter was given.
    """

    def __init__(self, runs: Iterable[StoredRun], warnings: Iterable[str] = ()) -> None:
        self.runs = tuple(runs)
        self.warnings = tuple(warnings)
        self._results = tuple(map(Result.of, self.runs))

    @overload
    def __getitem__(self, index: int) -> Result: ...

    @overload
    def __getitem__(self, index: slice) -> "Results": ...

    def __getitem__(self, index: int | slice) -> "Result | Results":
        return Results(self.runs[index]) if isinstance(index, slice) else self._results[index]

    def __len__(self) -> int:
        return len(self.runs)

    def __repr__(self) -> str:
        named = visible(", ".join(f"{one.task} {one.system} on {one.dataset}" for one in self._results[:3]))
        more = ", …" if len(self) > 3 else ""
        return f"<Results: {len(self)} run{'s' * (len(self) != 1)}{': ' * bool(named)}{named}{more}>"

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """The tables that ``vlmbench compare`` shows of them, without the pairwise comparisons."""
        from vlmbench.report.tables.write import build_tables

        return tuple(build_tables(self.runs))

    def to_dict(self) -> dict[str, Any]:
        """The results as in the document of ``--json``; fractions 0 to 1, CIDEr 0 to 10."""
        return {"results": [one.to_dict() for one in self._results]}

    def to_frame(self) -> "pd.DataFrame":
        """A row per run and metric, in the records' own scale."""
        from vlmbench.report.export import to_dataframe

        return to_dataframe(self.runs)


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Shown):
    """Runs side by side, tested against each other on the same images.

    Attributes:
        results: the runs, none twice.
        tables: classification, captions, retrieval, metric-eval, robustness, and pairwise comparisons, if any.
        refused: which runs are not shown side by side, and why.
        warnings: these, runs without the requested metric, and results that no table shows.
        foreign: results of another program that stand in the tables.
    """

    results: Results
    tables: tuple[Table, ...] = ()
    refused: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    foreign: tuple[Foreign, ...] = ()

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.results)} runs: {', '.join(table.name for table in self.tables)}>"

    def pairs(self) -> list[dict[str, Any]]:
        """One row per pair of systems and metric, in the records' own scale; empty if there is no pair."""
        found = []
        for table in self.tables:
            for row in table.rows if table.name == "comparisons" else ():
                cells = dict(zip((column.key for column in table.columns), row, strict=True))
                gap = cells["difference"]
                found.append(
                    {
                        **{key: cells[key].text for key in ("dataset", "task", "metric", "first", "second")},
                        "n": int(cells["n"].text),
                        "difference": gap.value,
                        "low": gap.low,
                        "high": gap.high,
                        "p_holm": gap.p,
                        "p_swapped_holm": cells["p_swapped_holm"].p if "p_swapped_holm" in cells else None,
                        "paths": [str(run.path) for run in gap.runs],
                    }
                )
        return found

    def to_frame(self, name: str | None = None) -> "pd.DataFrame":
        """One of the tables, a figure with its interval, in the records' own scale.

        Args:
            name: ``classification``, ``few_shot``, ``robustness``, ``captions``, ``retrieval``, ``metric_eval``,
                ``comparisons``; None: the first there is.

        Raises:
            UsageError: there is no such table.
        """
        import pandas as pd

        from vlmbench.report.export import table_rows

        there = {one.name: one for table in self.tables for one in (table, *table.extra)}
        if name is None and not there:
            return pd.DataFrame()
        if name is not None and name not in there:
            raise UsageError(f"no table {visible(name)}", where="name", fix=f"one of {', '.join(there) or 'none'}")
        return pd.DataFrame(table_rows(there[name] if name is not None else self.tables[0]))

    def of(self, results: Results) -> tuple[Table, ...]:
        """The tables with the rows of these runs alone."""
        return tuple(table.with_runs(results.runs) for table in self.tables)

    def in_words(self, results: Results | None = None) -> str:
        """The tables summarized in a paragraph.

        Args:
            results: only the rows of these runs; None: all.
        """
        from vlmbench.report.reading import read_tables

        return read_tables(self.tables if results is None else self.of(results))

    def foreign_results(self) -> list[dict[str, Any]]:
        """The results of another program that the tables show, by our names of datasets and metrics."""
        from vlmbench.records.foreign import PROGRAM
        from vlmbench.report.tables.foreign import dataset_of, metrics_of, usable

        return [
            {
                "program": PROGRAM,
                "task": one.task,
                "system": one.system,
                "dataset": dataset_of(one.dataset),
                "language": one.language or None,
                "metrics": {
                    name: {"value": value, "low": None, "high": None} for name, value in metrics_of(one).items()
                },
                "path": str(one.path),
            }
            for one in usable(self.foreign)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Everything as in the document of ``--json``."""
        return {**self.results.to_dict(), "comparisons": self.pairs(), "foreign": self.foreign_results()}

    def write(self, out: Path | str, *, intervals: bool = True) -> list[Path]:
        """Writes the tables as CSV, Markdown, LaTeX and HTML under `out`/tables and returns the files.

        Args:
            out: the results directory.
            intervals: False: without intervals, but for the CSV.

        Raises:
            OutputError: a file cannot be written.
        """
        from vlmbench.report.tables.write import write_tables

        return write_tables(self.tables, Path(out), intervals=intervals)

    def write_report(self, path: Path | str, cache_dir: Path | str | None = None) -> Path:
        """Writes ``report.html``, one file with tables, curves and images.

        Args:
            path: the file.
            cache_dir: where datasets are read from for their images; None: the platform's cache directory.

        Raises:
            OutputError: it cannot be written.
        """
        from vlmbench.api.pictures import Thumbnails
        from vlmbench.foundations.paths import default_cache_dir
        from vlmbench.report.page.write import write_report

        pictures = Thumbnails(Path(cache_dir) if cache_dir else default_cache_dir())
        return write_report(self.results.runs, self.tables, Path(path), pictures=pictures)

    def write_figures(self, directory: Path | str) -> list[Path]:
        """Draws the figures of the report as SVG, PDF and PNG in `directory` and returns the files.

        Raises:
            OutputError: a file cannot be written.
        """
        from vlmbench.report.page.figures import write_figures

        return write_figures(self.results.runs, Path(directory), self.tables)

    def write_eval_results(self, directory: Path | str) -> list[Path]:
        """Writes the hub's .eval_results YAML of the runs on datasets of the hub, one folder per model.

        Raises:
            OutputError: a file cannot be written.
        """
        from vlmbench.data.catalogue import listed
        from vlmbench.foundations.atomic import write_text
        from vlmbench.report.export import eval_results

        written = []
        known = {name: entry.hub_id for name, entry in listed().items()}
        for name, text in eval_results(self.results.runs, known).items():
            write_text(Path(directory) / name, text)
            written.append(Path(directory) / name)
        return written

    def log_to(self, program: str, out: Path | str) -> None:
        """Logs every record to ``wandb``, ``mlflow`` or ``tensorboard``.

        Args:
            program: which.
            out: where programs that write files write them.

        Raises:
            AbsentError: the package is not installed.
        """
        from vlmbench.report.loggers import export

        export(program, self.results.runs, Path(out))


@dataclass(frozen=True, eq=False, repr=False)
class CheckFiles:
    """What CI systems read of the regression gate: what it found, or the error with which it ended."""

    outcome: "Outcome | VlmbenchError"

    def junit(self) -> str:
        """JUnit XML, a test case per metric of a run."""
        from vlmbench.report.gate.ci import junit_xml

        return junit_xml(self.outcome)

    def gitlab(self, baseline: str) -> str:
        """GitLab's code quality report, whose issues are placed in the file `baseline`."""
        from vlmbench.report.gate.ci import gitlab_quality

        return gitlab_quality(self.outcome, baseline)

    def github(self) -> tuple[str, list[str]]:
        """Markdown for ``$GITHUB_STEP_SUMMARY``, and workflow commands, one per regression, or one for the error."""
        from vlmbench.report.gate.ci import github_annotations, github_summary

        return github_summary(self.outcome), github_annotations(self.outcome)


@dataclass(frozen=True, eq=False, repr=False)
class CheckOutcome(CheckFiles, Shown):
    """The result of the regression gate; `changes` are sorted, worst first."""

    outcome: "Outcome"

    @property
    def changes(self) -> "tuple[Change, ...]":
        """Every gated metric of every run, before and now."""
        return self.outcome.changes

    @property
    def regressions(self) -> "tuple[Change, ...]":
        """The changes that fail the gate: beyond the tolerance and, if they can be tested, significant."""
        return self.outcome.regressions

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be compared."""
        return self.outcome.notes

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """One table, a row per change."""
        from vlmbench.report.gate.run import outcome_table

        return (outcome_table(self.outcome),)

    def to_dict(self) -> dict[str, Any]:
        """The outcome as in the document of ``--json``."""
        from vlmbench.report.gate.ci import json_document

        return json_document(self.outcome)

    def __repr__(self) -> str:
        return f"<CheckOutcome: {len(self.regressions)} of {len(self.changes)} figures regressed>"

    def to_frame(self) -> "pd.DataFrame":
        """A row per change, in the records' own scale."""
        import pandas as pd

        from vlmbench.report.export import table_rows

        return pd.DataFrame(table_rows(self.tables[0]))
