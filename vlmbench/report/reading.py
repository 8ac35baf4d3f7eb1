"""The tables in words: where zero-shot is enough, where a probe wins, which captioner is better.

Every sentence is made from cells of the tables, so it says what they say and nothing else.
"""

from collections.abc import Sequence

from vlmbench.report.pairs import LEVEL
from vlmbench.report.table import Cell, Table

Line = dict[str, Cell]

METRICS = {
    "mean_per_class_accuracy": "accuracy (mean per class)",
    "map": "mAP",
    "map11": "mAP (11 points)",
    "roc_auc": "ROC AUC",
}
"""What a figure is called in a sentence, where it is not accuracy."""


def read_tables(tables: Sequence[Table]) -> str:
    """One paragraph on the tables; empty where there is nothing to compare."""
    sentences: list[str] = []
    for table in tables:
        lines = [dict(zip((column.key for column in table.columns), row, strict=True)) for row in table.rows]
        if table.name == "classification":
            sentences += _classification([line for line in lines if _has(line, "zero_shot") and _has(line, "probe")])
        elif table.name == "captions":
            sentences += _captions(lines)
        elif table.name == "comparisons":
            sentences += _prompts(lines)
    return " ".join(sentences)


def _has(line: Line, key: str) -> bool:
    return key in line and line[key].is_figure


def _classification(lines: Sequence[Line]) -> list[str]:
    places = [line for line in lines if line["zero_shot"].runs and len(line["zero_shot"].runs) == 1]
    return [_dataset(line, several=len({line["model"].text for line in places}) > 1) for line in places]


def _dataset(line: Line, *, several: bool) -> str:
    name = line["dataset"].text + (f" with {line['model'].text}" if several else "")
    zero, probe = line["zero_shot"].figure(), line["probe"].figure()
    metric = METRICS.get(line.get("metric", Cell()).text, "")
    start = f"On {name} zero-shot reaches {zero}{metric and f' {metric}'} and a probe on all labels {probe}"
    difference = line.get("difference", Cell())
    if difference.p is None:
        return start + "."
    if difference.p >= LEVEL:
        return f"{start}: no significant difference, zero-shot is enough."
    if difference.value is not None and difference.value > 0:
        return f"{start}: zero-shot is enough, and better."
    match = line.get("labels_to_match", Cell()).text
    if not match:
        return f"{start}: the probe wins."
    return f"{start}: the probe wins, once there are {_labels(match)} a class."


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
    for dataset in dict.fromkeys(line["dataset"].text for line in lines):
        there = [line for line in lines if line["dataset"].text == dataset and _has(line, "cider")]
        if len(there) < 2:
            continue
        best = max(there, key=lambda line: line["cider"].value or 0.0)
        others = sorted((line for line in there if line is not best), key=lambda line: -(line["cider"].value or 0.0))
        told = ", ".join(f"{line['system'].text} {line['cider'].figure()}" for line in others)
        tied = [line["system"].text for line in there if line["cider"].mark == "tied"]
        verdict = f"not significantly better than {_listed(tied)}" if tied else "significantly better"
        if best["cider"].mark != "best":
            verdict = "which was not tested"
        sentences.append(
            f"Of the captions of {dataset}, those of {best['system'].text} have the "
            f"{'highest' if len(others) > 1 else 'higher'} CIDEr:"
            f" {best['cider'].figure()} against {told}, {verdict}."
        )
    return sentences


def _prompts(lines: Sequence[Line]) -> list[str]:
    """Of each model that was asked with several prompts or class names: which are best, and whether by chance."""
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
            told = [
                f"{_variant(name, system)} ({values[name] * 100:.1f})"
                for name, p in sorted(tested.items(), key=lambda item: -values[item[0]])
                if p is not None and (p < LEVEL) == sure
            ]
            verdicts += [f"{words} {_listed(told)}"] if told else []
        figure = f"{values[best] * 100:.1f}{(words := METRICS.get(metric, '')) and f' {words}'}"
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
