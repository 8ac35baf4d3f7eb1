"""What follows the name of a dataset: ``hf:owner/name?image=COLUMN&label=COLUMN&stream=yes``, ``mnist?stream=yes``."""

import re
from urllib.parse import parse_qsl

from vlmbench.foundations.errors import UsageError
from vlmbench.foundations.text import visible

COLUMNS = ("image", "label", "caption")
STREAM = "stream"
AUTO, YES, NO = "auto", "yes", "no"
_STREAM = re.compile(rf"(?P<before>[?&]){STREAM}=(?:{AUTO}|{YES}|{NO})(?:(?P<after>&)|(?![\w-]))")
_FORMS = "?image=COLUMN&label=COLUMN or ?stream=yes"


def split_query(spec: str) -> tuple[str, dict[str, str]]:
    """The name, and what was asked for after its question mark.

    Raises:
        UsageError: something else stands there.
    """
    name, mark, query = spec.partition("?")
    asked = dict(parse_qsl(query))
    known = set(asked) <= {*COLUMNS, STREAM} and asked.get(STREAM, AUTO) in (AUTO, YES, NO)
    if mark and (not asked or not known):
        raise UsageError(f"not understood after a dataset's name: {visible(query)}", where=visible(spec), fix=_FORMS)
    return name, asked


def canonical(spec: str) -> str:
    """The name that a record carries: without ``stream``, which says how a dataset is read and not which one it is."""
    kind, colon, _ = spec.partition(":")
    if colon and kind not in ("hf", "boxes"):
        return spec
    return _STREAM.sub(lambda found: found["before"] if found["after"] else "", spec)


def parted_restval(name: str) -> tuple[str, bool]:
    """A file's name without ``?restval=yes``, and whether it was there: Karpathy's ``restval`` counts as ``train``."""
    file = name.removesuffix("?restval=yes")
    return file, file != name
