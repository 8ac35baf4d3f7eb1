"""Arguments of the API as options of the command line."""

import shlex

NAMES = {"models": "model", "datasets": "dataset", "document_frequency": "df-from", "tolerances": "tolerance"}
"""Arguments whose option is not called the same."""


def option_name(argument: str) -> str:
    """The long option of an argument, with its dashes."""
    return "--" + NAMES.get(argument, argument).replace("_", "-")


def as_option(argument: str, value: object) -> str:
    """An argument as words of a shell: ``--shots 1,2,all``; a switch or one without value: the option alone."""
    option = option_name(argument)
    return option if value is None or value is True else f"{option} {shlex.quote(str(value))}"
