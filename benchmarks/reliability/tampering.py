"""Results and baselines that were tampered with, and whether `verify`, `check` and `compare` say so.

Every case is a change of one file of a results directory, or of the baseline written from it. It falls short where a
command ends with a fault (70) or takes longer than `SECONDS`, or where `verify` or `check` ends with 0 and notes
nothing.
"""

import json
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SECONDS = 10.0
BASELINE, RESULTS = "baseline.json", "results"
Json = Any


@dataclass(frozen=True)
class Case:
    """One change.

    Attributes:
        kind: what it is a change of.
        name: what is changed.
        apply: does it, given the directory with the results and the baseline.
        verified: whether `verify` has to say so (it knows nothing of a baseline).
    """

    kind: str
    name: str
    apply: Callable[[Path], None]
    verified: bool = True


def outcome(case: Case, sound: Path, work: Path) -> str:
    """What fell short: empty where nothing did.

    Args:
        case: the change.
        sound: a directory with `RESULTS` and `BASELINE`.
        work: a directory that is made and removed.
    """
    from typer.testing import CliRunner

    from vlmbench.cli.app import app

    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(sound, work)
    fell = []
    try:
        case.apply(work)
        results, baseline = str(work / RESULTS), str(work / BASELINE)
        for command in (
            ["verify", results, "--json"],
            ["check", "--baseline", baseline, results, "--json"],
            ["compare", results, "--out", str(work / "tables"), "--quiet"],
        ):
            if command[0] != "check" and not case.verified:
                continue
            begun = time.perf_counter()
            done = CliRunner().invoke(app, command)
            if done.exit_code not in (0, 1, 2, 3, 4):
                fell.append(f"{command[0]} ended with {done.exit_code}")
            elif done.exit_code == 0 and command[0] != "compare" and not _noted(done.stdout):
                fell.append(f"{command[0]} said nothing")
            if time.perf_counter() - begun > SECONDS:
                fell.append(f"{command[0]} took {time.perf_counter() - begun:.0f} s")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return ", ".join(fell)


def _noted(stdout: str) -> bool:
    said = json.loads(stdout)
    return bool(said.get("notes") or said.get("without_checksum"))


def cases(sound: Path, flips: int, cuts: int) -> Iterator[Case]:
    """Every case for the runs that are there; `flips` and `cuts` of each file."""
    for path in sorted((sound / RESULTS / "runs").iterdir()):
        yield from _record_cases(path, flips, cuts)
        yield from _sample_cases(path, flips, cuts)
    yield from _baseline_cases(sound, flips, cuts)


def _edit(path: str, change: Callable[[Json], Json]) -> Callable[[Path], None]:
    """A change of a JSON file as a careful forger makes it: the file stays valid, its checksum is taken out."""

    def apply(work: Path) -> None:
        data = json.loads((work / path).read_text("utf-8"))
        data.pop("sha256" if "runs" in data else "record_sha256", None)
        found = change(data)
        (work / path).write_text(found if isinstance(found, str) else json.dumps(data), "utf-8")

    return apply


def _plain(path: str, change: Callable[[Json], Json]) -> Callable[[Path], None]:
    """A change by hand, the checksum as it was."""

    def apply(work: Path) -> None:
        data = json.loads((work / path).read_text("utf-8"))
        found = change(data)
        (work / path).write_text(found if isinstance(found, str) else json.dumps(data), "utf-8")

    return apply


def _set(*place: Any, to: Any) -> Callable[[Json], Json]:
    def change(data: Json) -> Json:
        for key in place[:-1]:
            data = data[key] if key != "*" else next(iter(data.values()))
        key = place[-1] if place[-1] != "*" else next(iter(data))
        if to is REMOVED:
            del data[key]
        elif callable(to):
            data[key] = to(data[key])
        else:
            data[key] = to

    return change


REMOVED = object()
NUMBERS = (float("nan"), float("inf"), float("-inf"), "0.1", True, None, 1e308, -1.0, [], {}, [0.5])


def _damage(kind: str, path: str, size: int, flips: int, cuts: int, *, verified: bool = True) -> Iterator[Case]:
    chance = random.Random(f"{path} {size}")
    for _ in range(flips):
        at, bit = chance.randrange(size), 1 << chance.randrange(8)
        yield Case(f"{kind}: a flipped bit", f"{path} at {at}", _flipped(path, at, bit), verified)
    for _ in range(cuts):
        length = chance.randrange(size)
        yield Case(f"{kind}: cut short", f"{path} to {length}", _cut(path, length), verified)


def _flipped(path: str, at: int, bit: int) -> Callable[[Path], None]:
    def apply(work: Path) -> None:
        data = bytearray((work / path).read_bytes())
        data[at] ^= bit
        (work / path).write_bytes(data)

    return apply


def _cut(path: str, length: int) -> Callable[[Path], None]:
    def apply(work: Path) -> None:
        (work / path).write_bytes((work / path).read_bytes()[:length])

    return apply


def _twice(key: str, value: str) -> Callable[[Json], Json]:
    """The file's JSON with a key a second time, at the end of the outermost object."""
    return lambda data: json.dumps(data)[:-1] + f', "{key}": {value}}}'


def _record_cases(run: Path, flips: int, cuts: int) -> Iterator[Case]:
    path = f"{RESULTS}/runs/{run.name}/result.json"
    data = json.loads((run / "result.json").read_text("utf-8"))
    main = data["protocol"].get("metric") or next(iter(data["metrics"]))
    kind = "record"
    for value in NUMBERS:
        yield Case(
            f"{kind}: a figure that is none",
            f"{run.name} {value!r}",
            _edit(path, _set("metrics", main, "value", to=value)),
        )
    raised = _set("metrics", main, "value", to=lambda value: value + 0.02)
    others = [name for name in data["metrics"] if name != main]
    for how in (_plain, _edit):
        word = "by hand" if how is _plain else "and its checksum removed"
        yield Case(f"{kind}: figures edited", f"{run.name} raised {word}", how(path, raised))
        yield Case(f"{kind}: figures edited", f"{run.name} emptied {word}", how(path, _set("metrics", to={})))
        yield Case(
            f"{kind}: figures edited", f"{run.name} {main} removed {word}", how(path, _set("metrics", main, to=REMOVED))
        )
    for name in others[:1]:
        yield Case(
            f"{kind}: figures edited", f"{run.name} {name} removed", _plain(path, _set("metrics", name, to=REMOVED))
        )
        yield Case(
            f"{kind}: figures edited", f"{run.name} high raised", _plain(path, _set("metrics", main, "high", to=1.0))
        )
    yield Case(f"{kind}: a key twice", run.name, _edit(path, _twice("metrics", "{}")))
    yield Case(f"{kind}: a key twice", f"{run.name} n", _edit(path, _twice("n", "1")))
    for value in (0, -1, 1, data["n"] + 1, 10**18, True, "3", 2.5, None):
        yield Case(f"{kind}: n", f"{run.name} {value!r}", _edit(path, _set("n", to=value)))
    for key, value in (
        *(("seed", data["seed"] + 1), ("seed", "0"), ("samples_sha256", ""), ("samples_sha256", "ab" * 32)),
        *(
            ("signature", ""),
            ("signature", "a:1|a:2"),
            ("schema_version", 0),
            ("schema_version", 2),
            ("system", "other"),
        ),
        *(("task", "retrieval" if data["task"] != "retrieval" else "zeroshot"), ("task", "caption-eval"), ("other", 1)),
        *(("protocol", {}), ("protocol", []), ("dataset", None), ("detail", "x"), ("metrics", []), ("shots", -1)),
    ):
        if data.get(key) != value:
            yield Case(f"{kind}: a field", f"{run.name} {key} {value!r}", _plain(path, _set(key, to=value)))
    if "classnames" in data["protocol"]:
        for names in ([], ["one"], "x", data["protocol"]["classnames"][:-1], [*data["protocol"]["classnames"], "more"]):
            yield Case(
                f"{kind}: other classes",
                f"{run.name} {len(names)}",
                _plain(path, _set("protocol", "classnames", to=names)),
            )
    huge = _set("protocol", "resamples", to=10**12)
    yield Case(f"{kind}: a field", f"{run.name} resamples", _edit(path, huge))
    for name, text in _broken_json():
        yield Case(f"{kind}: no JSON", f"{run.name} {name}", _plain(path, lambda data, text=text: text))
    yield from _damage(kind, path, (run / "result.json").stat().st_size, flips, cuts)


def _broken_json() -> Iterator[tuple[str, str]]:
    yield "empty", ""
    yield "nested", "[" * 100_000
    yield "nested and closed", '{"a":' * 50_000 + "1" + "}" * 50_000
    yield "list", "[]"
    yield "null", "null"
    yield "number", "1" * 5000
    yield "NaN", '{"metrics": NaN}'
    yield "surrogate", '{"system": "\\ud800"}'


def _sample_cases(run: Path, flips: int, cuts: int) -> Iterator[Case]:
    path = f"{RESULTS}/runs/{run.name}/samples.parquet"
    table = pq.read_table(run / "samples.parquet")

    def case(what: str, name: str, change: Callable[[pa.Table], pa.Table]) -> Iterator[Case]:
        for forged in (False, True):
            label = f"{run.name} {name}" + (" and its checksums" if forged else "")
            yield Case(f"samples: {what}", label, _rewritten(path, change, forged=forged))

    for column in table.column_names:
        if column in _NEEDED:
            yield from case("no column", column, lambda table, column=column: table.drop_columns([column]))
            yield from case("an empty cell", column, lambda table, column=column: _put(table, column, None))
            other = pa.array(["x"] * len(table)) if column != "id" else pa.array(np.arange(len(table)))
            yield from case(
                "another type", column, lambda table, column=column, other=other: _column(table, column, other)
            )
        if pa.types.is_floating(table.schema.field(column).type) and column in _DECIDING:
            for value in (float("nan"), float("inf"), -1e30, 1e30):
                yield from case(
                    "a number",
                    f"{column} {value}",
                    lambda table, column=column, value=value: _put(table, column, value),
                )
        if pa.types.is_integer(table.schema.field(column).type):
            for value in (-1, 10**12, 2**31 - 1):
                wide = pa.array(table.column(column).to_pylist(), pa.int64())
                yield from case(
                    "a number",
                    f"{column} {value}",
                    lambda table, column=column, value=value, wide=wide: _put(
                        _column(table, column, wide), column, value
                    ),
                )
    yield from case("rows", "none", lambda table: table.slice(0, 0))
    yield from case("rows", "one fewer", lambda table: table.slice(1))
    yield from case("rows", "one twice", lambda table: pa.concat_tables([table, table.slice(0, 1)]))
    yield from case("rows", "doubled id", lambda table: _put(table, "id", table.column("id")[1].as_py()))
    if "prediction" in table.column_names:
        better = table.column("label").combine_chunks()
        yield from case("better answers", "prediction", lambda table: _column(table, "prediction", better))
    for name, data in (("empty", b""), ("no Parquet", b"PAR1PAR1"), ("text", b"id\n1\n")):
        yield Case(
            "samples: no Parquet",
            f"{run.name} {name}",
            lambda work, data=data: (work / path).write_bytes(data) and None,
        )
    yield Case("samples: no Parquet", f"{run.name} absent", lambda work: (work / path).unlink())
    yield from _damage("samples", path, (run / "samples.parquet").stat().st_size, flips, cuts)


_NEEDED = {
    "id",
    "label",
    "prediction",
    "labels",
    "scores",
    "image_rank",
    "caption_ranks",
    "candidate",
    "confidence",
    "cider",
}
_DECIDING = {"confidence", "brier", "image_rank", "cider", "rouge_l", "bleu_matches_1"}


def _column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def _put(table: pa.Table, name: str, value: Any) -> pa.Table:
    """The table with another first cell in a column."""
    cells = table.column(name).to_pylist()
    return _column(table, name, pa.array([value, *cells[1:]], table.schema.field(name).type))


def _rewritten(path: str, change: Callable[[pa.Table], pa.Table], *, forged: bool) -> Callable[[Path], None]:
    def apply(work: Path) -> None:
        from vlmbench.foundations.hashing import sha256_file

        pq.write_table(change(pq.read_table(work / path)), work / path)
        if forged:
            record = (work / path).parent / "result.json"
            data = json.loads(record.read_text("utf-8"))
            data.pop("record_sha256", None)
            data["samples_sha256"] = sha256_file(work / path)
            record.write_text(json.dumps(data), "utf-8")

    return apply


def _baseline_cases(sound: Path, flips: int, cuts: int) -> Iterator[Case]:
    data = json.loads((sound / BASELINE).read_text("utf-8"))
    for key, run in data["runs"].items():
        main = run["main"] if run["main"] in run["metrics"] else next(iter(run["metrics"]))
        at: tuple[Any, ...] = ("runs", key)
        edits: list[tuple[str, str, Any]] = [
            *(("a figure that is none", repr(value), _set(*at, "metrics", main, to=value)) for value in NUMBERS),
            ("figures edited", "lowered", _set(*at, "metrics", main, to=lambda value: value - 0.05)),
            ("figures edited", "emptied", _set(*at, "metrics", to={})),
            ("figures edited", "removed", _set(*at, "metrics", main, to=REMOVED)),
            ("a field", "n", _set(*at, "comparable", "n", to=7)),
            ("a field", "content", _set(*at, "comparable", "content", to="ab" * 32)),
            ("a field", "metric", _set(*at, "comparable", "metric", to="ece")),
            ("a field", "main", _set(*at, "main", to="ece")),
            ("a field", "ids", _set(*at, "samples", "ids", to="ab" * 32)),
            ("a field", "no samples", _set(*at, "samples", to={"ids": "", "columns": {}})),
            ("a field", "samples", _set(*at, "samples", to=None)),
            ("a field", "run", _set(*at, to=[])),
            ("a field", "other key", _set(*at, "other", to=1)),
        ]
        if run["samples"]["columns"]:
            packed = (*at, "samples", "columns", "*")
            shapes = (
                0,
                [0],
                [-1],
                [10**18],
                [10**9],
                [float("inf")],
                [],
                [1.5],
                ["3"],
                [True],
                [[3]],
                [2**31, 2**31],
                None,
            )
            edits += [("packed", f"shape {shape}", _set(*packed, "shape", to=shape)) for shape in shapes]
            edits += [
                ("packed", f"type {kind}", _set(*packed, "type", to=kind)) for kind in ("float64", "int8", "object", 3)
            ]
            edits += [("packed", "data", _set(*packed, "data", to=text)) for text in ("", "*", "AAAA", _bomb())]
            edits += [("packed", "removed", _set(*packed[:-1], to={}))]
        for what, name, change in edits:
            for how in (_plain, _edit):
                yield Case(f"baseline: {what}", f"{key} {name}", how(BASELINE, change), False)
    for name in ("runs", "vlmbench_baseline"):
        yield Case("baseline: a key twice", name, _edit(BASELINE, _twice(name, "{}")), False)
    yield Case("baseline: a key twice", "metrics", _edit(BASELINE, _inner_twice), False)
    for value in (0, -1, True, "1", None, 2, 1.5):
        yield Case(
            "baseline: a field", f"schema {value!r}", _edit(BASELINE, _set("vlmbench_baseline", to=value)), False
        )
    for name, text in _broken_json():
        yield Case("baseline: no JSON", name, _plain(BASELINE, lambda data, text=text: text), False)
    yield from _damage("baseline", BASELINE, (sound / BASELINE).stat().st_size, flips, cuts, verified=False)


def _inner_twice(data: Json) -> str:
    return json.dumps(data).replace('"metrics": {', '"metrics": {}, "metrics": {', 1)


def _bomb() -> str:
    import base64
    import zlib

    return base64.b64encode(zlib.compress(b"\0" * 50_000_000, 9)).decode("ascii")
