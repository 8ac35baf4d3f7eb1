"""The rows of the classification table: one model's runs at a place, with one variant of zero-shot and of probe."""

from collections.abc import Sequence
from itertools import product

from vlmbench.metrics.differences import Difference
from vlmbench.records.classification import ClassificationProtocol, ProbeProtocol
from vlmbench.records.result import ModelFacts
from vlmbench.records.store import StoredRun, natural
from vlmbench.records.task import EncodedProtocol
from vlmbench.report.grouping import Place, of_family, variants
from vlmbench.report.tables.references import Known

LOGISTIC = "logistic"


class Row:
    """One row: the runs of one model, with one variant of zero-shot and of probe, at one place."""

    def __init__(self, place: Place, label: str, zero: StoredRun | None, probes: Sequence[StoredRun]) -> None:
        self.place = place
        self.label = label
        self.zero = zero
        self.full = next((run for run in probes if run.record.shots is None), None)
        self.shots = {run.record.shots: run for run in probes if run.record.shots is not None}
        self.rival: StoredRun | None = None
        """The logistic probe with the most labels, in a row of another head."""
        self.difference: Difference | None = None
        self.p_holm: float | None = None

    @property
    def runs(self) -> list[StoredRun]:
        """The runs of the row."""
        return [run for run in (self.zero, self.full, *self.shots.values()) if run is not None]

    @property
    def most(self) -> StoredRun | None:
        """The probe with the most labels."""
        return self.full or (self.shots[max(self.shots)] if self.shots else None)

    @property
    def head(self) -> str | None:
        """The head of the row's probes."""
        protocol = self.most.record.protocol if self.most else None
        return protocol.probe if isinstance(protocol, ProbeProtocol) else None

    @property
    def any_run(self) -> StoredRun:
        """A run of the row."""
        return self.runs[0]

    def unbeaten(self, known: Known | None) -> tuple[str, float] | None:
        """The reference that the row's zero-shot figure does not exceed, with its value, if any."""
        from vlmbench.metrics.reference import unbeaten

        if self.zero is None or known is None:
            return None
        return unbeaten(self.zero.record.metrics[self.place.metric], known.values)


def classification_rows(runs: Sequence[StoredRun]) -> list[Row]:
    """The table's rows: by place, then model, then variant."""
    groups: dict[tuple[Place, str], list[StoredRun]] = {}
    for run in of_family(runs, "classification"):
        groups.setdefault((Place.of(run.record), _model_key(run)), []).append(run)
    rows = []
    for (place, _), group in sorted(groups.items(), key=lambda item: (item[0][0], natural(item[0][1]))):
        zeros = variants([run for run in group if run.record.spec.role == "zero-shot"], lambda run: 0)
        by_head: dict[str, list[StoredRun]] = {}
        for run in group:
            if run.record.spec.role == "probe":
                by_head.setdefault(run.record.system, []).append(run)
        own = min((run.record.system for run in group), key=lambda text: (len(text), text))
        found = []
        for name, runs_of_head in sorted(by_head.items(), key=lambda item: natural(item[0])) or [(own, [])]:
            probes = variants(runs_of_head, lambda run: run.record.shots) or {"": []}
            for (zero_label, zero), (probe_label, probe) in product(zeros.items() or [("", [])], probes.items()):
                both = (_viewed(zero, zero_label), _viewed(probe, probe_label))
                words = "; ".join(part for part in dict.fromkeys(both) if part)
                found.append(Row(place, name + (f" ({words})" if words else ""), zero[0] if zero else None, probe))
        plain = [row for row in found if row.head == LOGISTIC]
        for row in found:
            row.rival = plain[0].most if len(plain) == 1 and row.head != LOGISTIC else None
        rows += found
    return rows


def _viewed(runs: Sequence[StoredRun], label: str) -> str:
    """A variant's label; crops and tiles are always named, even if all runs have them."""
    protocols = [run.record.protocol for run in runs]
    views = next((f"views {one.views}" for one in protocols if isinstance(one, EncodedProtocol) and one.views), "")
    return label if views in label else ", ".join(part for part in (label, views) if part)


def _model_key(run: StoredRun) -> str:
    model: ModelFacts | None = run.record.model
    name = f"{model.id}\x1f{model.weights_sha256}" if model else run.record.system
    protocol = run.record.protocol
    classes = protocol.classes_from if isinstance(protocol, ClassificationProtocol) else None
    return f"{name}\x1f{classes or ''}"  # a probe that was trained elsewhere is not beside zero-shot or probes here
