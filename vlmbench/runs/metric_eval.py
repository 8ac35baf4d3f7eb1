"""``metric-eval``: every metric's score of each judged caption, and how far it agrees with what people said."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.data.judgements import Judgements, read_judgements
from vlmbench.foundations.atomic import require_writable, write_text
from vlmbench.foundations.errors import AbsentError, InputError, UsageError
from vlmbench.foundations.text import csv_cell, markdown, visible
from vlmbench.metrics.agreement import Tau, agreement
from vlmbench.metrics.captions.clipscore import METRICS as CLIP
from vlmbench.metrics.captions.corpus import Caption
from vlmbench.metrics.captions.scoring import Scored, Tokenized, refusals, score_meteor, score_native
from vlmbench.metrics.captions.statistics import METRICS, RESAMPLES
from vlmbench.runs.caption_eval import open_references
from vlmbench.runs.caption_pieces import add_spice, tokenizer
from vlmbench.runs.caption_scoring import DEFAULT
from vlmbench.runs.context import Context

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Request:
    """What ``vlmbench metric-eval`` is asked for."""

    judgements: str
    references: str | None = None
    """A file or captioned set; for Flickr8k's files, ``Flickr8k.token.txt``."""
    format: str = "auto"
    metrics: Sequence[str] = DEFAULT
    resamples: int = RESAMPLES


@dataclass(frozen=True)
class Agreement:
    """One metric's agreement with people."""

    metric: str
    dataset: str
    format: str
    n: int
    """Judgements."""
    images: int
    left_out: int
    seed: int
    resamples: int
    tau_b: Tau
    tau_c: Tau

    def document(self) -> dict[str, Any]:
        """As it stands in the JSON document; a coefficient that is not defined is null."""
        return {
            "task": "metric-eval",
            "metric": self.metric,
            "dataset": self.dataset,
            "format": self.format,
            "n": self.n,
            "images": self.images,
            "left_out": self.left_out,
            "seed": self.seed,
            "resamples": self.resamples,
            "kendall_tau_b": _plain(self.tau_b),
            "kendall_tau_c": _plain(self.tau_c),
        }


HEADER = ("metric", "tau_b", "tau_b_low", "tau_b_high", "tau_c", "tau_c_low", "tau_c_high", "n", "images", "dataset")


def run_metric_eval(request: Request, context: Context) -> list[Agreement]:
    """Scores every judged caption against its image's references, and ranks the scores against the ratings.

    CIDEr's document frequencies are those of the images' references, each image once however many captions of it were
    judged.

    Raises:
        UsageError: a metric needs the images, or references are given twice or not at all.
        InputError: a file is not what it has to be, or no metric is left.
        AbsentError: METEOR's data or SPICE's program are missing and nothing else was asked for.
        OutputError: the results directory cannot be written.
    """
    if set(request.metrics) & set(CLIP):
        raise UsageError("CLIPScore needs the images, which judgements do not hold", where="--metrics")
    require_writable(context.out)
    flickr = Path(request.references) if request.references is not None else None
    found = read_judgements(Path(request.judgements), request.format, flickr)
    references = _references(found, request, context)
    scores = score_judgements(found, references, request.metrics, context)
    for name, values in scores.items():
        if np.ptp(values) == 0:
            context.reporter.warn(f"{name} gives every caption the same score: tau is not defined")
    images = [item.image for item in found.items]
    with context.reporter.task("Resampling", request.resamples) as advance:
        taus = agreement(
            list(scores.values()),
            [item.rating for item in found.items],
            images,
            context.seed,
            resamples=request.resamples,
            advance=lambda: advance(1),
        )
    if found.left_out:
        context.reporter.note(f"{found.left_out:,} judgements left out: the caption is among the image's references")
    return [
        Agreement(
            name, found.name, found.format, len(images), len(set(images)), found.left_out, context.seed,
            request.resamples, b, c,
        )
        for name, (b, c) in zip(scores, taus, strict=True)
    ]  # fmt: skip


def score_judgements(
    found: Judgements, references: dict[str, list[str]], metrics: Sequence[str], context: Context
) -> dict[str, Floats]:
    """Scores by metric, `[N]` each, in the order of the judgements.

    Each pair of image and caption is scored once, as an item of its own with its image's references.

    Args:
        found: the judgements.
        references: the captions of every judged image, and of no other.
        metrics: names out of `METRICS`.
        context: where METEOR's and SPICE's data are, reporter.

    Raises:
        InputError: no metric is left.
        AbsentError: METEOR's data are missing and nothing else was asked for.
    """
    pairs = list(dict.fromkeys((item.image, item.candidate) for item in found.items))
    text = _tokens(pairs, references)
    left_out = refusals(metrics, len(references))
    scored = score_native(text, [name for name in metrics if name not in left_out])
    if "meteor" in metrics:
        try:
            scored[0].columns["meteor"] = _meteor(text, context)
        except AbsentError as error:
            if len(metrics) == 1:
                raise
            left_out["meteor"] = f"{error.what} (to mend: {error.mend})"
    if "spice" in metrics:
        left_out |= add_spice(scored, text, context.cache_dir)
    for name, why in left_out.items():
        context.reporter.warn(f"{name} is left out: {why}")
    return _by_judgement(found, pairs, scored[0], metrics, left_out)


def write_tables(results: Sequence[Agreement], out: Path) -> list[Path]:
    """``tables/metric_eval.csv`` and ``.md``, each whole or not at all.

    Raises:
        OutputError: one cannot be written.
    """
    rows = [
        [item.metric, *map(_figure, _ends(item.tau_b)), *map(_figure, _ends(item.tau_c)), str(item.n), str(item.images)]
        for item in results
    ]
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows([*row, csv_cell(item.dataset)] for row, item in zip(rows, results, strict=True))
    lines = ["| " + " | ".join(map(markdown, HEADER)) + " |", "|---|" + "---:|" * (len(HEADER) - 2) + "---|"]
    lines += [
        "| " + " | ".join([markdown(row[0]), *row[1:], markdown(item.dataset)]) + " |"
        for row, item in zip(rows, results, strict=True)
    ]
    first = results[0]
    lines += [
        "",
        f"Kendall's tau with human ratings; 95 % bootstrap intervals over images, {first.resamples} resamples, "
        f"seed {first.seed}; format {first.format}, {first.left_out} judgements left out.",
    ]
    written = [out / "tables" / "metric_eval.csv", out / "tables" / "metric_eval.md"]
    write_text(written[0], sheet.getvalue())
    write_text(written[1], "\n".join(lines) + "\n")
    return written


def _references(found: Judgements, request: Request, context: Context) -> dict[str, list[str]]:
    if found.references is not None:
        if found.format == "csv" and request.references is not None:
            raise UsageError("the judgements hold references of their own", where="-r", mend="leave -r out")
        return found.references
    if request.references is None:
        raise UsageError(
            "no references", where="-r", mend="give -r FILE, or a column references or reference_1, reference_2 …"
        )
    given = open_references(request.references, context)
    for item in found.items:
        if item.image not in given.captions:
            raise InputError(
                f"no references of image {visible(item.image[:80])}",
                where=f"{found.where}, {item.place}",
                mend=f"add them to {given.where}",
            )
    chosen = {item.image: given.captions[item.image] for item in found.items}
    for image, captions in chosen.items():
        if not all(map(str.strip, captions)):
            raise InputError(f"an empty reference of image {visible(image[:80])}", where=given.where, mend="remove it")
    return chosen


def _tokens(pairs: Sequence[tuple[str, str]], references: dict[str, list[str]]) -> Tokenized:
    from vlmbench.metrics.captions.sanitize import sanitize_all
    from vlmbench.metrics.captions.tokenizer import settle_initials

    safe, _ = sanitize_all(list(chain.from_iterable(references.values())))
    candidates, _ = sanitize_all([candidate for _, candidate in pairs])
    lines, tokens = iter(safe), iter(tokenizer("native")([*safe, *candidates]))
    by_image: dict[str, list[Caption]] = {}
    for image, captions in references.items():
        by_image[image] = [next(tokens) for _ in captions]
        settle_initials([next(lines) for _ in captions], by_image[image])
    given = [next(tokens) for _ in pairs]
    order = np.arange(len(pairs), dtype=np.int64)
    return Tokenized([by_image[image] for image, _ in pairs], [given], [order], list(by_image.values()))


def _meteor(text: Tokenized, context: Context) -> Floats:
    from vlmbench.metrics.captions.meteor import load_index

    return score_meteor(text, load_index(context.cache_dir, progress=context.reporter.task))[1]


def _by_judgement(
    found: Judgements,
    pairs: Sequence[tuple[str, str]],
    scored: Scored,
    metrics: Sequence[str],
    left_out: dict[str, str],
) -> dict[str, Floats]:
    names = [name for name in METRICS if name in metrics and name not in left_out]
    if not names:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise InputError(f"nothing is left to score: {reasons}", where="--metrics", mend="ask for other metrics")
    place = {pair: index for index, pair in enumerate(pairs)}
    rows = np.array([place[item.image, item.candidate] for item in found.items], dtype=np.int64)
    return {name: np.asarray(scored.columns[name], dtype=np.float64)[rows] for name in names}


def _ends(tau: Tau) -> tuple[float, float, float]:
    return tau.value, tau.low, tau.high


def _figure(value: float) -> str:
    return f"{value:.4f}" if np.isfinite(value) else ""


def _plain(tau: Tau) -> dict[str, float | None]:
    names = ("value", "low", "high")
    return {name: value if np.isfinite(value) else None for name, value in zip(names, _ends(tau), strict=True)}
