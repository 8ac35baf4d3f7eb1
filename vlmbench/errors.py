"""The errors that vlmbench raises; every one of them is a `VlmbenchError` with `what`, `where` and how to fix it."""

from vlmbench.foundations.errors import AbsentError, InputError, OutputError, UsageError, VlmbenchError

__all__ = ["AbsentError", "InputError", "OutputError", "UsageError", "VlmbenchError"]
