"""Every benchmark that compares two sides: a table of ratios, ``benchmarks/figures.json`` and ``docs/benchmarks.md``.

    python -m benchmarks [NAME ...] [--quick] [--page]

Each runs in a process of its own, with the two sides in turn. Without names all that this environment can run are run
(about 12 minutes on two cores); what it cannot is named with the reason, and keeps the figures it has. `--quick`: small
sizes, to see that everything works; nothing is written. `--page` only writes the page again, from the figures.

A row says whether the machine was idle: what other programs used of its cores meanwhile is measured.
"""

import argparse
import importlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "benchmarks" / "figures.json"
PAGE = ROOT / "docs" / "benchmarks.md"

BENCHMARKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "startup": ("start of the program and of a model", ()),
    "captions": ("caption scores against pycocoevalcap with Java", ("java",)),
    "probe": ("the probe's search for its strength against scikit-learn", ()),
    "extraction": ("encoding images against the usual loop", ()),
    "photographs": ("12-megapixel JPEGs against decoding and resizing alone", ()),
    "engines": ("OpenVINO against torch in fp32", ("openvino",)),
    "grid": ("a grid of models and datasets against CLIP_benchmark", ("clip_benchmark", "open_clip")),
    "endpoint": ("captions from an endpoint, many calls at a time against one", ()),
    "streaming": ("a streamed WebDataset, several ranges at a time against one", ()),
}
"""Modules of this folder, each with ``rows(quick)``: what they measure, and the programs and packages they need."""

IDLE = 0.1
"""Cores that other programs may use at most on a machine that counts as idle."""


def lacking(name: str) -> list[str]:
    """What a benchmark needs and this environment lacks."""
    from shutil import which

    return [need for need in BENCHMARKS[name][1] if find_spec(need) is None and which(need) is None]


def machine() -> dict[str, Any]:
    """The facts of this machine that decide how fast anything is."""
    from vlmbench.foundations.cpu import cores

    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    models = [line.partition(":")[2].strip() for line in cpu.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = {}
    for package in ("torch", "transformers", "pillow", "openvino", "scikit-learn"):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "cores": cores(),
        "memory_gib": round(memory, 1),
        "python": platform.python_version(),
        **packages,
    }


def used(own: bool = False) -> float | None:
    """Seconds of processor time that the machine has spent, or this process and its ended children; none: unknown."""
    if own:
        spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(item.ru_utime + item.ru_stime for item in spent)
    if not Path("/proc/stat").is_file():
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def measure(name: str, quick: bool) -> dict[str, Any]:
    """Runs a benchmark in a process of its own; gives its rows, and what else the machine did."""
    load, everything, own, begun = os.getloadavg()[0], used(), used(own=True), time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "rows.json"
        command = [sys.executable, "-m", "benchmarks", name, "--rows", str(out), *(["--quick"] if quick else [])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        subprocess.run(command, check=True, cwd=ROOT, env=environment, stdout=sys.stderr)
        rows = json.loads(out.read_text())
    seconds = time.perf_counter() - begun
    others = None
    if everything is not None:
        others = round(max(0.0, (used() - everything) - (used(own=True) - own)) / seconds, 2)  # type: ignore[operator]
    facts = {"date": time.strftime("%Y-%m-%d"), "seconds": round(seconds), "load_before": round(load, 2)}
    return {**facts, "cores_used_by_others": others, "machine": machine(), "rows": rows}


def quiet(found: dict[str, Any]) -> str:
    """Whether the machine was idle otherwise, in words."""
    others = found["cores_used_by_others"]
    if others is None:
        return "what else ran is not known"
    return f"{'idle' if others <= IDLE else 'shared'} machine: other programs used {others:g} of its cores"


def number(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """A Markdown table."""
    found = ["| what | ours | beside it | times as fast | asked for | |", "|---|---|---|---|---|---|"]
    for row in rows:
        target = "" if row["target"] is None else f"{row['target']:g}"
        missed = row["target"] is not None and row["ratio"] < row["target"]
        found.append(
            f"| {row['name']} | {number(row['ours'])} {row['unit']} | {row['against']}: {number(row['theirs'])} "
            f"{row['unit']} | {'**' * (not missed)}{number(row['ratio'])}{'**' * (not missed)}"
            f"{' (missed)' * missed} | {target} | {row['note']} |"
        )
    return found


def page(figures: dict[str, Any]) -> str:
    """The docs' page."""
    text = [
        "# Benchmarks",
        "",
        "Written by `python -m benchmarks` from `benchmarks/figures.json`; both sides of each ratio ran in turn on the",
        "same machine, in one run. A ratio above 1 says that vlmbench is faster.",
    ]
    for name, (about, needs) in BENCHMARKS.items():
        text += ["", f"## `{name}`: {about}", ""]
        found = figures.get(name)
        if found is None:
            text += [f"Not measured yet; needs {', '.join(needs)}." if needs else "Not measured yet."]
            continue
        facts = found["machine"]
        packages = ", ".join(
            f"{key} {value}" for key, value in facts.items() if key not in {"cpu", "cores", "memory_gib"}
        )
        text += [
            f"{found['date']}, {facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']:g} GiB; {quiet(found)}.",
            f"{packages[0].upper()}{packages[1:]}. Again: "
            + ", ".join(f"`{command}`" for command in dict.fromkeys(row["command"] for row in found["rows"]))
            + f" ({found['seconds']} s).",
            "",
            *lines(found["rows"]),
        ]
    return "\n".join(text) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := sorted(set(given.names) - set(BENCHMARKS)):
        parser.error(f"no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}")
    if given.rows:
        module = importlib.import_module(f"benchmarks.{given.names[0]}")
        given.rows.write_text(json.dumps([row.to_json() for row in module.rows(given.quick)]))
        return
    figures = json.loads(FIGURES.read_text()) if FIGURES.is_file() else {}
    failed = []
    for name in () if given.page else given.names or BENCHMARKS:
        if missing := lacking(name):
            print(f"{name}: not run, this environment has no {', '.join(missing)}", flush=True)
            continue
        try:
            found = measure(name, given.quick)
        except subprocess.CalledProcessError as error:
            failed.append(name)
            print(f"{name}: ended with {error.returncode}", flush=True)
            continue
        print(f"{name}: {found['seconds']} s, {quiet(found)}", *lines(found["rows"]), sep="\n", flush=True)
        if not given.quick:
            figures[name] = found
            FIGURES.write_text(
                json.dumps({name: figures[name] for name in BENCHMARKS if name in figures}, indent=1) + "\n"
            )
    if not given.quick:
        PAGE.write_text(page(figures), encoding="utf-8")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
