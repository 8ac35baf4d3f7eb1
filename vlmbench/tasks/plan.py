"""A plan: a grid of commands in a TOML file, one table per command; checked as a whole, then run in one session."""

import re
import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlmbench.foundations.atomic import require_writable
from vlmbench.foundations.errors import InputError, UsageError, VlmbenchError
from vlmbench.foundations.files import SMALL, read_text
from vlmbench.foundations.plugins import nearest
from vlmbench.foundations.text import visible
from vlmbench.records.store import StoredRun
from vlmbench.session.session import Session
from vlmbench.tasks.base import TaskJob


@dataclass(frozen=True)
class Table:
    """One table of a plan.

    Attributes:
        task: the command; empty for the common options at the top.
        place: its place in the file, for errors.
        options: keys and values as parsed from TOML.
    """

    task: str
    place: str
    options: dict[str, Any]

    def at(self, key: str) -> str:
        """The place of a key, for errors."""
        return f"{self.place}, key {visible(key)}"


@dataclass(frozen=True)
class Plan:
    """A plan as read: the common options, then the tables, each task's in file order."""

    common: Table
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Step:
    """A job, and the table it comes from, if it comes from a file."""

    table: Table | None
    job: TaskJob


_DEEP = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){100}""")


def read_toml(path: Path, what: str) -> tuple[dict[str, Any], str]:
    """The content of a TOML file, and its text.

    Raises:
        AbsentError: there is no such file.
        InputError: it is not TOML; the line is named.
    """
    text = read_text(path, most=SMALL, what=what)
    try:
        if _DEEP.search(text):  # `tomllib` takes a minute for 50,000 levels
            raise ValueError("a key of more than 100 parts")
        return tomllib.loads(text), text
    except tomllib.TOMLDecodeError as error:
        said, _, place = str(error).rpartition(" (at ")
        line = place.rstrip(")") if place.startswith("line") else f"line {len(text.splitlines())}, the end"
        raise InputError(
            f"the {what} is not valid TOML: {said}",
            where=f"{visible(str(path))}, {line}",
            fix="fix this line, or one above it",
        ) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists in lists in lists
        raise InputError(
            f"the {what} cannot be read as TOML: {visible(str(error))[:100]}",
            where=visible(str(path)),
            fix="write plain values",
        ) from error


def read_plan(path: Path, tasks: Collection[str]) -> Plan:
    """Reads a plan.

    Args:
        path: the TOML file.
        tasks: the commands that it may contain.

    Raises:
        AbsentError: there is no such file.
        InputError: it is not TOML, a task is unknown, or there is nothing to do.
    """
    found, text = read_toml(path, "plan")
    common: dict[str, Any] = {}
    tables: list[Table] = []
    for key, value in found.items():
        entries = value if isinstance(value, list) else [value]
        if key not in tasks and not any(isinstance(entry, dict) for entry in entries):
            common[key] = value
            continue
        if key not in tasks:
            raise InputError(
                f"no such task: {visible(key)}", where=_place(path, text, key, 0), fix=_near(key, tasks, "one of ")
            )
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise InputError(
                f"{key} is not a list of tables", where=_place(path, text, key, 0), fix=f"write [[{key}]], not [{key}]"
            )
        tables += [Table(key, _place(path, text, key, number), entry) for number, entry in enumerate(entries)]
    if not tables:
        raise InputError(
            "the plan has no tables", where=visible(str(path)), fix='[[zeroshot]], then model = ["tiny-clip"], …'
        )
    return Plan(Table("", visible(str(path)), common), tuple(tables))


def unknown_key(table: Table, key: str, known: Collection[str]) -> InputError:
    """The error for a key that is not an option of the table's command."""
    what = f"{table.task} has no option {visible(key)}" if table.task else f"no such common option: {visible(key)}"
    return InputError(what, where=table.at(key), fix=_near(key, known, "one of "))


def check_steps(steps: Sequence[Step], session: Session) -> None:
    """Checks every step before any runs, and tells the session which images they will use.

    Raises:
        VlmbenchError: the first problem, with its table and, if known, its key.
    """
    for step in steps:
        try:
            for one in step.job.check(session):
                session.expect(one.models, one.selection)
        except VlmbenchError as error:
            raise (placed(error, step.table) if step.table else error) from error


def run_steps(steps: Sequence[Step], session: Session) -> list[StoredRun]:
    """Runs the steps in order.

    Raises:
        VlmbenchError: a step failed, with its table; the results of the steps before it are written.
    """
    require_writable(session.context.out)
    runs: dict[Path, StoredRun] = {}
    for number, step in enumerate(steps, 1):
        session.context.reporter.note(f"{number} of {len(steps)}" + (f": {step.table.place}" if step.table else ""))
        try:
            runs |= {run.path: run for run in step.job.run(session.context, session)}
        except VlmbenchError as error:
            if runs:
                session.context.reporter.note(f"the {len(runs)} results so far are in {session.context.out}/runs")
            raise (placed(error, step.table) if step.table else error) from error
    return list(runs.values())


def placed(error: VlmbenchError, table: Table) -> VlmbenchError:
    """The error with its place in the plan; a usage error of a command is an input error of the plan."""
    if error.where and error.where.startswith(table.place):
        return error
    said = f"{error.what} {error.where or ''}"
    keys = [key for key, value in table.options.items() if any(item in said for item in _texts(key, value))]
    place = table.at(keys[0]) if keys else table.place
    if error.where and not any(error.where in _texts(key, table.options[key]) for key in keys):
        place += f": {error.where}"
    if isinstance(error, UsageError):
        return InputError(error.what, where=place, fix=error.fix)
    error.where = place
    return error


def _texts(key: str, value: Any) -> list[str]:
    """What an error about a key may quote: its values, and the option."""
    items = value if isinstance(value, list) else [value]
    return [*(str(item) for item in items if isinstance(item, str) and item), f"--{key}"]


def _place(path: Path, text: str, task: str, number: int) -> str:
    """File, line and table: the number-th header of that name."""
    headers = [
        line
        for line, content in enumerate(text.splitlines(), 1)
        if re.match(rf"\s*\[\[?\s*['\"]?{re.escape(task)}['\"]?\s*\]", content)
    ]
    line = f", line {headers[number]}" if number < len(headers) else ""
    return f"{visible(str(path))}{line}, [[{visible(task)}]]"


def _near(word: str, known: Collection[str], otherwise: str) -> str:
    return nearest(word.replace("_", "-"), known, otherwise + ", ".join(known))
