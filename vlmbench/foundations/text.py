"""Text from data made harmless for each place it is shown in.

Class names, captions and file names come from strangers. Whatever goes to a terminal, an HTML page, a Markdown table, a
LaTeX table or a CSV cell passes through the function for that place, and through no other.
"""

import html as _html
import re
import unicodedata
from collections.abc import Sequence

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~<&$@])")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def visible(text: str) -> str:
    """One line, with every control, format and surrogate character shown as ``\\xNN`` or ``\\uNNNN`` instead of obeyed.

    Escape sequences, right-to-left marks and zero-width characters come out as their code; ordinary letters of every
    script stay as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _shown(char) else _code(char) for char in text)


def composed(text: str) -> str:
    """A name with each accented letter as one character (NFC): macOS may write ``é`` as two, which look the same."""
    return unicodedata.normalize("NFC", text)


def tidy(name: str) -> str:
    """A name in a table as it is compared: `composed`, single spaces between its words and none around it."""
    return composed(" ".join(name.split()))


def encodable(texts: Sequence[str]) -> list[str]:
    """Texts as they are, with halves of characters (lone surrogates) replaced: Parquet and tokenizers take UTF-8."""
    return [text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8") for text in texts]


def _shown(char: str) -> bool:
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _code(char: str) -> str:
    value = ord(char)
    if value < 0x100:
        return f"\\x{value:02x}"
    return f"\\u{value:04x}" if value < 0x10000 else f"\\U{value:08x}"


def terminal(text: str) -> str:
    """For a rich table or message: `visible`, with rich's markup brackets escaped."""
    return re.sub(r"(\\*)\[", r"\1\1\\[", visible(text))


def html(text: str) -> str:
    """For an HTML text node or a quoted attribute."""
    return _html.escape(visible(text), quote=True)


def markdown(text: str) -> str:
    """For text inside a line of Markdown: punctuation that means something there is backslashed."""
    return _MARKDOWN.sub(r"\\\1", visible(text))


def latex(text: str) -> str:
    """For a cell of a LaTeX table."""
    return "".join(_LATEX.get(char, char) for char in visible(text))


def csv_cell(text: str) -> str:
    """For a text cell of a CSV: one that a spreadsheet would take for a formula gets a leading apostrophe (OWASP)."""
    shown = visible(text)
    return "'" + shown if shown.startswith(_FORMULA) else shown
