"""The tables in words: where zero-shot is enough, where a probe wins, which captioner is better.

Every sentence is made from cells of the tables, so it says only what they say.
"""

from collections.abc import Mapping, Sequence

from vlmbench.metrics.choice import DEFAULT
from vlmbench.metrics.differences import LEVEL
from vlmbench.metrics.spec import caption_specs, in_sentences
from vlmbench.records.result import Metric
from vlmbench.report.table import Cell, Table

Line = dict[str, Cell]

SHIFTS = 4
"""Test sets of a probe that get a sentence each; more are counted."""


def read_tables(tables: Sequence[Table]) -> str:
    """One paragraph on the tables; empty where there is nothing to compare."""
    return " ".join(findings(tables))


def findings(tables: Sequence[Table]) -> list[str]:
    """What the tables say, a sentence each."""
    sentences: list[str] = []
    for table in tables:
        lines = [dict(zip((column.key for column in table.columns), row, strict=True)) for row in table.rows]
        if table.name == "classification":
            sentences += _classification(lines)
        elif table.name == "captions":
            sentences += _captions(lines)
        elif table.name == "robustness":
            sentences += _shifted(lines)
        elif table.name == "comparisons":
            sentences += _prompts(lines)
    return sentences


def _has(line: Line, key: str) -> bool:
    return key in line and line[key].is_figure


def _classification(lines: Sequence[Line]) -> list[str]:
    """A sentence on each row with both figures, and on each zero-shot figure no better than a reference."""
    references: dict[str, dict[str, float]] = {}
    for line in lines:
        for cell in line.values():
            if cell.reference and cell.value is not None:
                references.setdefault(line["dataset"].text, {})[cell.reference] = cell.value
    places = [line for line in lines if _has(line, "zero_shot") and _system(line["zero_shot"]) and not _of_shift(line)]
    several = len({line["model"].text for line in places if _has(line, "probe")}) > 1
    sentences = []
    for line in places:
        known = references.get(line["dataset"].text, {})
        if _has(line, "probe"):
            sentences.append(_dataset(line, known, several=several))
        elif below := _unbeaten(line["zero_shot"], known):
            name = f"{line['dataset'].text} with {line['model'].text}"
            sentences.append(f"On {name} zero-shot reaches {_figure(line)}: {below}.")
    return sentences


def _shifted(lines: Sequence[Line]) -> list[str]:
    """For each probe on all labels and zero-shot beside it: what each loses under shift, and which to choose there."""
    sentences = []
    probes = [
        line
        for line in lines
        if _has(line, "loss") and _has(line, "extra_loss") and line["classifier"].text == "probe, all labels"
    ]
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in probes:
        groups.setdefault((line["trained_on"].text, line["model"].text), []).append(line)
    many = {group: there for group, there in groups.items() if len(there) > SHIFTS}
    for (trained_on, _), there in many.items():
        model, head = _head(there[0])
        gaps = [line["extra_loss"] for line in there]
        more, less = (sum((end or 0.0) * sign > 0 for end in ends) for sign, ends in _ends(gaps))
        sentences.append(
            f"Trained on {trained_on}, tested on {len(there)} other sets, with {model}: {head} on all labels loses "
            f"significantly more than zero-shot on {more} of them, significantly less on {less}."
        )
    for line in probes:
        if (line["trained_on"].text, line["model"].text) in many:
            continue
        place = [line[key].text for key in ("dataset", "trained_on")]
        others = [one for one in lines if [one[key].text for key in ("dataset", "trained_on")] == place]
        beside = line["extra_loss"].runs[2:]
        zero = next(one for one in others if one["loss"].runs == beside)
        gap, probe, free = line["extra_loss"], line["shifted"], zero["shifted"]
        model, head = _head(line)
        low, high = gap.interval().strip("[]").split(", ")
        sure = "" if (gap.low or 0.0) > 0 or (gap.high or 0.0) < 0 else ", not significant"
        sentences.append(
            f"Trained on {place[1]}, tested on {place[0]}, with {model}: under shift {head} "
            f"{_loses(line['loss'])} points{_of(line['metric'].text)}, zero-shot {_loses(zero['loss'], line['loss'])} "
            f"(difference {gap.figure()}, 95 % interval {low} to {high}{sure}); {_choice(line, probe, free)}."
        )
    return sentences


def _head(line: Line) -> tuple[str, str]:
    """The model of a row, and the head: ``the probe``, if it is the default one, or ``the head lp++``."""
    text, name = line["model"].text, getattr(line["extra_loss"].runs[0].record.protocol, "probe", None)
    model, plus, rest = text.partition(f"+{name}")
    if not plus:
        return text, "the probe"
    settings, space, more = rest.partition(" ")
    return model + space + more, f"the head {name}{settings}"


def _ends(gaps: Sequence[Cell]) -> list[tuple[int, list[float | None]]]:
    """Which end of each interval must lie on which side of 0 for a difference to be significant."""
    return [(1, [gap.low for gap in gaps]), (-1, [gap.high for gap in gaps])]


def _of_shift(line: Line) -> bool:
    """Whether a row is of a probe on another test set, or of some classes for comparison with one: `_shifted`'s."""
    protocol = line["zero_shot"].runs[0].record.protocol
    return bool(getattr(protocol, "classes_from", None) or getattr(protocol, "left_out_classes", None))


def _loses(cell: Cell, after: Cell | None = None) -> str:
    """``loses 12.3``; the verb is left out where it is that of the figure before."""
    gains = (cell.value or 0.0) < 0
    verb = "" if after is not None and gains == ((after.value or 0.0) < 0) else "gains " if gains else "loses "
    return verb + cell.figure().lstrip("+-")


def _choice(line: Line, probe: Cell, free: Cell) -> str:
    """Which is the better choice on the shifted data, by labels per class, if the curve says one thing."""
    match, behind = line.get("labels_to_match", Cell()).text, (probe.value or 0.0) < (free.value or 0.0)
    if match.startswith(">") and behind:
        return f"with up to {match.lstrip('> ')} labels per class zero-shot is the better choice on the shifted data"
    if match and not match.startswith(("<", ">")) and not behind:
        return f"below {_labels(match)} per class zero-shot is the better choice on the shifted data"
    return f"on the shifted data {_head(line)[1]} on all labels reaches {probe.figure()}, zero-shot {free.figure()}"


def _system(cell: Cell) -> bool:
    """Whether a figure is from one run: not a mean or a reference."""
    return len(cell.runs) == 1 and not cell.reference


def _figure(line: Line) -> str:
    return line["zero_shot"].figure() + _of(line.get("metric", Cell()).text)


def _of(metric: str) -> str:
    """The metric's name after a figure, unless it is accuracy."""
    return f" {in_sentences(metric)}" if metric not in {"", DEFAULT} else ""


def _unbeaten(cell: Cell, known: Mapping[str, float]) -> str:
    """``not better than chance (14.3)``; empty if a figure is better than all references."""
    from vlmbench.metrics.reference import not_better, unbeaten

    if cell.value is None:
        return ""
    below = unbeaten(Metric(value=cell.value, low=cell.low, high=cell.high), known)
    return "" if below is None else not_better(*below)


def _dataset(line: Line, known: Mapping[str, float], *, several: bool) -> str:
    name = line["dataset"].text + (f" with {line['model'].text}" if several else "")
    start = f"On {name} zero-shot reaches {_figure(line)} and {_trained(line['probe'])} {line['probe'].figure()}"
    difference = line.get("difference", Cell())
    if below := _unbeaten(line["zero_shot"], known):
        if _unbeaten(line["probe"], known):
            return f"{start}: neither is {below.removeprefix('not ')}."
        better = difference.p is not None and difference.p < LEVEL and (difference.value or 0.0) < 0
        return f"{start}: zero-shot is {below}{', the probe wins' if better else ''}."
    if difference.p is None:
        return start + "."
    if difference.p >= LEVEL:
        return f"{start}: no significant difference, so zero-shot is enough."
    if difference.value is not None and difference.value > 0:
        return f"{start}: zero-shot is better, so it is enough."
    match = line.get("labels_to_match", Cell()).text
    if not match:
        return f"{start}: the probe wins."
    return f"{start}: the probe wins from {_labels(match)} per class."


def _trained(cell: Cell) -> str:
    """``a probe on all labels``, or which other head."""
    head = getattr(cell.runs[0].record.protocol, "probe", None) if cell.runs else None
    return f"the head {head} on all labels" if head not in {None, "logistic"} else "a probe on all labels"


def _labels(match: str) -> str:
    """``4.23`` as ``about 4 labels``, ``< 1`` as ``fewer than 1 label``, ``> 32`` as ``more than 32 labels``."""
    for sign, words in (("<", "fewer than"), (">", "more than")):
        if match.startswith(sign):
            count = match.lstrip(sign).strip()
            return f"{words} {count} label{'' if count == '1' else 's'}"
    count = f"{float(match):.0f}"
    return f"about {count} label{'' if count == '1' else 's'}"


def _captions(lines: Sequence[Line]) -> list[str]:
    sentences = []
    spec = min((spec for spec in caption_specs() if spec.prominence), key=lambda spec: spec.prominence)
    key = spec.name
    for dataset in dict.fromkeys(line["dataset"].text for line in lines):
        there = [line for line in lines if line["dataset"].text == dataset and _has(line, key)]
        if len(there) < 2:
            continue
        best = max(there, key=lambda line: line[key].value or 0.0)
        others = sorted((line for line in there if line is not best), key=lambda line: -(line[key].value or 0.0))
        listed = ", ".join(f"{line['system'].text} {line[key].figure()}" for line in others)
        tied = [line["system"].text for line in there if line[key].mark == "tied"]
        verdict = f"not significantly better than {_listed(tied)}" if tied else "significantly better"
        if best[key].mark != "best":
            verdict = "not tested"
        sentences.append(
            f"On {dataset} the captions of {best['system'].text} have the "
            f"{'highest' if len(others) > 1 else 'higher'} {spec.title}:"
            f" {best[key].figure()} against {listed}, {verdict}."
        )
    return sentences


def _prompts(lines: Sequence[Line]) -> list[str]:
    """For each model with several prompts or class names: which is best, and whether significantly."""
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        one, two = (run.record for run in line["difference"].runs)
        if line["task"].text == "zero-shot" and one.model is not None and one.model == two.model:
            groups.setdefault((line["dataset"].text, one.system), []).append(line)
    sentences = []
    for (dataset, system), there in groups.items():
        metric = there[0]["metric"].text
        values = {
            line[side].text: run.record.metrics[metric].value
            for line in there
            for side, run in zip(("first", "second"), line["difference"].runs, strict=True)
        }
        best = max(values, key=values.__getitem__)
        tested = {
            line["second" if line["first"].text == best else "first"].text: line["difference"].p
            for line in there
            if best in (line["first"].text, line["second"].text)
        }
        verdicts = []
        for words, sure in (("significantly better than", True), ("not significantly better than", False)):
            listed = [
                f"{_variant(name, system)} ({values[name] * 100:.1f})"
                for name, p in sorted(tested.items(), key=lambda item: -values[item[0]])
                if p is not None and (p < LEVEL) == sure
            ]
            verdicts += [f"{words} {_listed(listed)}"] if listed else []
        figure = f"{values[best] * 100:.1f}{_of(metric)}"
        sentences.append(
            f"Zero-shot with {system} on {dataset} is best with {_variant(best, system)}: {figure}, "
            f"{', '.join(verdicts)}."
        )
    return sentences


def _listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _variant(label: str, system: str) -> str:
    """``clip (prompts many)`` as ``prompts many``."""
    return label.removeprefix(system).strip().removeprefix("(").removesuffix(")")
