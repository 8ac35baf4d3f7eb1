"""The errors a user sees: what is wrong, where, and how to fix it.

Each class carries the exit code of the command-line contract. A user never sees a traceback for them; anything that is
not a `VlmbenchError` is a fault of vlmbench itself and ends with 70.
"""

from vlmbench.foundations.spelling import spell

EXIT_OK = 0
EXIT_REGRESSION = 1
EXIT_USAGE = 2
EXIT_INPUT = 3
EXIT_ABSENT = 4
EXIT_FAULT = 70
EXIT_INTERRUPTED = 130


class VlmbenchError(Exception):
    """An error with a message for people, which names options as its caller spells them (`foundations.spelling`).

    Args:
        what: what is wrong, in one sentence.
        where: the file, line, id or option it concerns.
        fix: what to do about it, ideally a command.
    """

    exit_code = EXIT_FAULT

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        super().__init__(spell(what))
        self.what = spell(what)
        self.where = spell(where) if where else None
        self.fix = spell(fix) if fix else None

    def __str__(self) -> str:
        parts = [self.what]
        if self.where:
            parts.append(f"where: {self.where}")
        if self.fix:
            parts.append(f"fix: {self.fix}")
        return "\n".join(parts)


class UsageError(VlmbenchError):
    """The command line requests something impossible (exit 2)."""

    exit_code = EXIT_USAGE


class InputError(VlmbenchError):
    """A file, dataset or record is invalid (exit 3)."""

    exit_code = EXIT_INPUT


class OutputError(VlmbenchError):
    """A result cannot be written (exit 3): a run that cannot write its result never ends with 0."""

    exit_code = EXIT_INPUT


class LeftToOthers(VlmbenchError):
    """Another process of the same launch writes the results (exit 0)."""

    exit_code = EXIT_OK


class AbsentError(VlmbenchError):
    """A model, dataset, program, package, network or named file is missing (exit 4)."""

    exit_code = EXIT_ABSENT


_NO_MEMORY = (
    "out of memory",
    "alloc_failed",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "failed to map",
)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that device or machine have no memory left: Python's own, torch's or the loader's."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | ImportError | OSError) and any(words in text for words in _NO_MEMORY)
    )


def too_little_memory(where: str | None = None) -> AbsentError:
    """The error for a machine, or a limit set on this process, that has too little memory for what is asked."""
    return AbsentError(
        "not enough memory: models need about 2 GB of it and more for large ones",
        where=where,
        fix="raise the limit (ulimit -v, the container's), take a smaller model or --batch-size, or --limit N images",
    )
