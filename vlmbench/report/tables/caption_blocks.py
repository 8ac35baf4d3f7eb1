"""Which caption runs share a block of a table: those that can be compared on the images they have in common.

Content decides, not the name of a file: an image is common to two runs if its id and its references are the
same. A block is compared on the images that all of its runs scored; for a run that scored more, the figures are
computed again on these from its per-sample file; its record keeps its own.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vlmbench.data.captions.read import reference_digest
from vlmbench.foundations.hashing import digest
from vlmbench.metrics.spec import needing
from vlmbench.records.captions import CaptionDetail, CaptionProtocol
from vlmbench.records.result import Metric
from vlmbench.records.store import StoredRun
from vlmbench.report.grouping import Place, named, of_family, unique
from vlmbench.report.pairs import Pairs
from vlmbench.report.table import Cell, metric_cell

SHARED = 0.5
"""Share of the largest run's images that all runs of a block have; a run on fewer gets a block of its own, because
it would reduce the images of all others (a trial with ``--limit`` next to a whole test set)."""
Content = dict[str, tuple[str, ...]]
"""Sorted references by image id."""


@dataclass(frozen=True)
class Block:
    """Caption runs that are compared with each other."""

    place: Place
    """The dataset's id as most runs have it, and its split; `n` is the number of common images."""
    systems: tuple[tuple[str, StoredRun], ...]
    images: tuple[str, ...] | None = None
    """Ids of the common images; None if all runs scored the same ones, so that their own figures are compared."""
    apart: frozenset[str] = frozenset()
    """Metrics that are not compared, because their document frequencies come from different references."""
    datasets: tuple[str, ...] = ()
    """Every name that the runs give the references."""

    def cells(self, run: StoredRun, names: Sequence[str], pairs: Pairs | None) -> list[Cell]:
        """The figures of a run on the block's images, with their intervals; empty if it has no such metric."""
        own = [metric_cell(run, name) for name in names]
        if self.images is None or pairs is None or not pairs.has(run) or run.record.n == len(self.images):
            return own
        found = restated(run, pairs.columns(run, self.images))
        return [
            self._again(cell, found[name]) if name in found else cell for name, cell in zip(names, own, strict=True)
        ]

    def _again(self, own: Cell, found: Metric) -> Cell:
        whole = own.runs[0].record.n
        remark = f"on {self.place.n:,} of its {whole:,} images; on all of them {own.figure()} {own.interval()}"
        return replace(own, value=found.value, low=found.low, high=found.high, remark=remark.rstrip())

    def notes(self) -> list[str]:
        """What a reader of the block needs to know, one sentence each."""
        name, found = self.place.dataset, []
        if self.images is not None:
            found.append(
                f"{name}: compared on the {self.place.n:,} images that every system has a caption for, with the same "
                "references; 'of' is how many each system has. Its record has the figures on all of them."
            )
        if len(self.datasets) > 1:
            found.append(f"{name}: {' and '.join(self.datasets)} have the same references for these images.")
        if self.apart:
            found.append(
                f"{name}: CIDEr is not compared: document frequencies come from different references. Score all "
                "systems against the same references, or with the same --df-from."
            )
        return found


def caption_blocks(runs: Sequence[StoredRun], pairs: Pairs | None) -> list[Block]:
    """The blocks of the caption runs among `runs`, by dataset; runs in natural order.

    Args:
        runs: any runs.
        pairs: reads per-sample files; None: only runs whose records say that they scored the same images are grouped.
    """
    chosen = unique(of_family(runs, "captions"))
    if len(chosen) < 2:  # nothing to compare, so the per-sample file need not be read
        pairs = None
    contents = {run.path: _content(run, pairs) for run in chosen}
    groups: list[_Group] = []
    for run in sorted(chosen, key=lambda run: (contents[run.path] is None, -run.record.n)):
        content = contents[run.path]
        if not any(group.takes(run, content) for group in groups):
            groups.append(_Group([run], content))
    order = {run.path: place for place, run in enumerate(chosen)}
    blocks: dict[Place, Block] = {}
    for group in groups:
        block = _block(sorted(group.runs, key=lambda run: order[run.path]), group.common, pairs)
        if block.place in blocks:  # the same number of other images of the same references
            other = digest([block.place.content, list(group.common or ())])
            block = replace(block, place=replace(block.place, content=other))
        blocks[block.place] = block
    return [blocks[place] for place in sorted(blocks)]


@dataclass
class _Group:
    runs: list[StoredRun]
    common: Content | None
    """Images that all runs have, with the same references; None without any per-sample file."""

    def takes(self, run: StoredRun, content: Content | None) -> bool:
        """Adds the run if it belongs here, and says whether. A group of images is compared only with the same group."""
        if _protocol(run).group != _protocol(self.runs[0]).group:
            return False
        if content is None or self.common is None:
            same = {(other.record.dataset.fingerprint, other.record.n) for other in self.runs}
            if (run.record.dataset.fingerprint, run.record.n) not in same:
                return False
        elif content != self.common:
            common = {image: found for image, found in self.common.items() if content.get(image) == found}
            if len(common) < SHARED * max(other.record.n for other in (run, *self.runs)):
                return False
            self.common = common
        self.runs.append(run)
        return True


def _content(run: StoredRun, pairs: Pairs | None) -> Content | None:
    if pairs is None or not pairs.has(run):
        return None
    columns = pairs.columns(run)
    if "references" not in columns:
        return None
    return {
        str(image): tuple(sorted(map(str, found)))
        for image, found in zip(columns["id"].tolist(), columns["references"].tolist(), strict=True)
    }


def _block(runs: Sequence[StoredRun], common: Content | None, pairs: Pairs | None) -> Block:
    names = Counter(run.record.dataset.id for run in runs)
    first = next(run.record for run in runs if run.record.dataset.id == names.most_common(1)[0][0])
    n = max(run.record.n for run in runs) if common is None else len(common)
    equal = all(run.record.n == n for run in runs)
    place = Place(first.dataset.id, first.dataset.split, n, "captions", (), first.dataset.fingerprint)
    sources = {_documents(run, pairs) for run in runs if needing("documents") & set(run.record.metrics)}
    return Block(
        place=place,
        systems=tuple(named(runs)),
        images=None if equal or common is None else tuple(common),
        apart=needing("documents") if len(sources) > 1 else frozenset(),
        datasets=tuple(names),
    )


def _protocol(run: StoredRun) -> CaptionProtocol:
    protocol = run.record.protocol
    return protocol if isinstance(protocol, CaptionProtocol) else CaptionProtocol()


def _documents(run: StoredRun, pairs: Pairs | None) -> str:
    """The set of references that the document frequencies of a run's CIDEr come from."""
    frequency = _protocol(run).df or ""
    own = re.fullmatch(r"references\[(\d+)\]", frequency)
    if own is None:
        number, at, fingerprint = frequency.rpartition("[")[2].partition("@")
        return f"{number}{at}{fingerprint}" if fingerprint else frequency
    detail = run.record.detail
    if isinstance(detail, CaptionDetail) and detail.references_sha256 is not None:
        return detail.references_sha256
    content = _content(run, pairs) if int(own[1]) == run.record.n else None
    return reference_digest(content) if content is not None else run.record.dataset.fingerprint


def restated(run: StoredRun, columns: Mapping[str, Any]) -> dict[str, Metric]:
    """The metrics of a run on some of its images, with 95 % intervals.

    Args:
        run: the run.
        columns: its per-sample columns for these images, `[n]` each.

    Raises:
        InputError: a column is missing.
    """
    from vlmbench.metrics.figures import figures

    record = run.record
    names = list(record.metrics)
    return figures(record.spec.family, columns, names, record.seed, resamples=record.protocol.resamples)
