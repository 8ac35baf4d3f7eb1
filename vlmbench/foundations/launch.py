"""A command that a launcher starts as several processes: which of them this one is, from the launcher's variables.

``torchrun`` (``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``, ``LOCAL_WORLD_SIZE``:
https://docs.pytorch.org/docs/stable/elastic/run.html), ``srun`` (``SLURM_PROCID``, ``SLURM_NTASKS``, ``SLURM_LOCALID``)
and job arrays of SLURM (``SLURM_ARRAY_TASK_ID``, ``…_MIN``, ``…_STEP``, ``…_COUNT``: man sbatch) are known.

The processes need not all be there: an ``sbatch`` script that starts no ``srun`` has ``SLURM_NTASKS`` too, and an array
may run a different command per task. So the number only says where a process begins; what it finds undone, it does, and
once everything is done one of them writes the results.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryFile

from vlmbench.foundations.errors import EXIT_FAULT, UsageError
from vlmbench.foundations.text import visible


@dataclass(frozen=True)
class Launch:
    """One of several processes of a command: its number, from 0, and how many there are."""

    number: int
    count: int
    command: str = ""


def find_launch(environment: Mapping[str, str] = os.environ, command: str = "") -> Launch | None:
    """The place of this process among those that a launcher has started; none where there is one process.

    An array of jobs of several processes each counts as all of them together. Raises `UsageError` where a variable is
    no number, or too large.
    """
    number, count = 0, 1
    for rank, world in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")):
        if environment.get(rank) and environment.get(world):
            number, count = _number(environment, rank), _number(environment, world, least=1)
            if number >= count:
                raise _wrong(rank, environment[rank], f"{world} is {count}, so a number below {count}")
            break
    if environment.get("SLURM_ARRAY_TASK_ID") and environment.get("SLURM_ARRAY_TASK_COUNT"):
        first = _number(environment, "SLURM_ARRAY_TASK_MIN", 0)
        step = _number(environment, "SLURM_ARRAY_TASK_STEP", 1, least=1)
        tasks = _number(environment, "SLURM_ARRAY_TASK_COUNT", least=1)
        task = _number(environment, "SLURM_ARRAY_TASK_ID", least=first)
        number, count = (task - first) // step % tasks * count + number, tasks * count
    return Launch(number, count, command) if count > 1 else None


def run_all(count: int, command: Sequence[str] | None = None) -> int:
    """Runs a command as so many processes of this machine, each with a GPU of its own, as ``torchrun`` does.

    The results, which one of them writes, are printed once; of what they say on stderr that of the first, and that of
    one that failed where the first did not. What a process leaves that is killed the others make up for; if it was
    the one that wrote the results, one more is started.

    Args:
        command: program and arguments; None: this process's own.

    Returns:
        The exit code: that of the first process, where it is 0 that of the first that failed.
    """
    words = list(command or [sys.executable, "-m", "vlmbench", *sys.argv[1:]])
    with ExitStack() as files:
        codes, printed = _run(words, range(count), count, files)
        if any(code < 0 for code in codes) and not any(printed):
            codes, printed = _run(words, range(1), count, files)
    sys.stdout.write(next(filter(None, printed), ""))
    if any(printed) and not any(code > 0 for code in codes):
        return 0
    failed = next((code for code in codes if code), 0)
    return failed if failed >= 0 else EXIT_FAULT


def _run(words: Sequence[str], numbers: Sequence[int], count: int, files: ExitStack) -> tuple[list[int], list[str]]:
    """Exit codes and stdouts of processes; they end with this one."""
    shown = {"COLUMNS": str(shutil.get_terminal_size().columns)} if sys.stdout.isatty() else {}
    new = partial(TemporaryFile, "w+", encoding="utf-8")
    outs = [files.enter_context(new()) for _ in numbers]
    said = [None if number == 0 else files.enter_context(new()) for number in numbers]
    running = []
    try:
        for place, number in enumerate(numbers):
            names = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
            environment = {**os.environ, **shown, **{name: str(value) for name, value in names.items()}}
            running.append(subprocess.Popen(words, env=environment, stdout=outs[place], stderr=said[place]))
        codes = [process.wait() for process in running]
    except BaseException:
        for process in running:
            process.terminate()
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()
        raise
    for file in (*outs, *filter(None, said)):
        file.seek(0)
    failed = next((place for place, code in enumerate(codes) if code), 0)
    if (words_of := said[failed]) is not None:
        sys.stderr.write(words_of.read())
    return codes, [file.read() for file in outs]


def local_rank(environment: Mapping[str, str] = os.environ) -> int:
    """Which of the processes on this machine this is, from 0: it uses the GPU of that number. Raises `UsageError` where
    the variable is no number."""
    names = [name for name in ("LOCAL_RANK", "SLURM_LOCALID") if environment.get(name)]
    return _number(environment, names[0]) if names else 0


def local_count(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes of a launch share this machine's cores, as far as ``torchrun`` says so. Raises `UsageError`
    where that is no number."""
    return _number(environment, "LOCAL_WORLD_SIZE", 1, least=1)


def _number(environment: Mapping[str, str], name: str, default: int = 0, *, least: int = 0) -> int:
    text = environment.get(name) or str(default)
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least:
        return int(text)
    raise _wrong(name, text, f"a whole number, at least {least}")


def _wrong(name: str, text: str, wanted: str) -> UsageError:
    return UsageError(
        f"the environment variable {name} is {visible(repr(text))}; a launcher such as torchrun or SLURM sets it to "
        f"{wanted}",
        where=name,
        fix=f"unset {name}, or start the command with the launcher",
    )
