"""How messages name what a caller passes: written once, as options of the command line (``--shots 1,2``).

To who calls from Python the same message names the argument (``shots='1,2'``). While a command runs, it stays as it is;
whole commands of a shell, which a message can propose, do so always.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

ARGUMENTS = {
    "model": "models=",
    "dataset": "datasets=",
    "df-from": "document_frequency=",
    "tolerance": "tolerances=",
    "update": "save_baseline",
}
"""Options that Python calls something else."""
_SHORT = {"m": "models=", "d": "datasets=", "r": "references=", "p": "candidates="}
_COMMAND = r"(?:vlmbench [a-z]+|(?:python -m )?pip install|hf download)\b(?:(?!, |; |\)|\n).)*"
_WORDS = "skip|error|wds|dataset|native|sklearn|java|fp32|cpu|zeroshot|auto|all|pre_proj|proj|logistic"
_PAIRS = r"[a-z]+=[^\s;)]*[^\s;),.]"
_VALUE = rf"'[^']*'|\d[\w.,]*(?<![.,])|[A-Z][A-Z=]+\b|{_PAIRS}|(?:{_WORDS})\b|(?!out\b)[\w.]+(?=$| or | --)"
_OPTION = re.compile(
    rf"(?P<command>{_COMMAND})|(?<![\w-])--(?P<name>[a-z][a-z-]*)(?![\w-])(?:[ =](?P<value>{_VALUE}))?"
    r"|(?<![\w-])-(?P<short>[mdrp])(?![\w-])(?: (?:[A-Z]+\b|(?P<named>(?=\S*[/:_\d])[\w./:@#-]*\w)))?"
)
_options = False


def spell(message: str) -> str:
    """A message as the caller reads it: from a command as it is, from Python with arguments instead of options."""
    return message if _options else _OPTION.sub(_argument, message)


@contextmanager
def as_options() -> Iterator[None]:
    """Leaves options in messages as they are, until the end of the block and in every thread."""
    global _options
    before, _options = _options, True
    try:
        yield
    finally:
        _options = before


def _argument(found: re.Match[str]) -> str:
    if found["command"]:
        return found[0]
    if found["short"]:
        return _SHORT[found["short"]] + (repr(found["named"]) if found["named"] else "")
    name, value = found["name"], found["value"] or ""
    plain = value.isupper() or re.fullmatch(r"|'.*'|\d+(\.\d+)?", value)
    return ARGUMENTS.get(name, name.replace("-", "_") + "=") + (
        "" if value.isupper() else value if plain else repr(value)
    )
