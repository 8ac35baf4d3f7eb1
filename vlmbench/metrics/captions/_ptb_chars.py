"""Character classes of the Penn Treebank tokenizer, observed one code point at a time.

Each of the 63,488 code points of the Basic Multilingual Plane was put into eleven short probes (alone, between two
letters, between two digits, doubled, after a period, ...) and Stanford's tokenizer asked what it makes of them;
code points with the same eleven answers form a class. Everything outside the plane is deleted (emoji, for one).

To keep the rules small, the lexer never sees the text itself but its *shadow*: a string of the same length in which
every character stands for its class. `shadow` is that translation; the tokens are cut from the text at the shadow's
boundaries.
"""

from __future__ import annotations

from bisect import bisect_right

LETTER = "\u00e9"  # joins words; any letter outside ASCII
DIGIT = "\u0660"  # a decimal digit outside ASCII
MARK = "\u0301"  # a combining mark: continues a word, but never a number
SYMBOL = "\u00a9"  # a token of its own
SCRIPT = "\u00b2"  # superscript digits, and below subscript ones: a run of them is one token
SUBSCRIPT = "\u2082"
UNKNOWN = "\x01"  # deleted, and ends whatever stands before it
SPACE = "\u2003"  # white space that is neither a blank nor U+00A0

_CLASSES = {"L": LETTER, "D": DIGIT, "C": MARK, "S": SYMBOL, "P": SCRIPT, "U": UNKNOWN}

# Run-length table from U+0080 up to U+FFFF: the distance to the previous run in base 36, then the class of the run.
_RUNS = (
    "1UwS9L2S6P2S1L1S3P1L5S1LnS1LvS1LcqC4LcCeL5C7L1C1L1C3lL5C1L2C2L4S1U5C2L1S1L3U1L1U1LkU1L2bC1L3vU1C5U2L4eU9L12U2L"
    "1C6U1L13U1S2U6C19S1C1S1C2S1C2S1C1U8LrU5L3S2UbS4U2S7U7S1C6S1U2S2L17CkU1DaS4L2C1L2rS1L1CfL2C7L2DaL3C2L1SeU1C1L1C"
    "1LuCtL2hCbL1UeDaLxC9L2S3U1L1U5LmU4L1U9L1U3L1UnLpU1zL1U1LbU2bC4L1iU2C1L1ChU1L1C5U2LaC2S2DaU1L7U1L7U1C3U1L8U2L2U"
    "2LmU1L7U1L1U3L4U2C1L1C7U2C2U2C3L1U8C1U4L2U1L3C2U2DaL2UfC3U1L6U4L2U2LmU1L7U1L2U1L2U1L2U2C1U1CiU9L4U1L1U7DaU2L3U"
    "cC3U1L9U1L3U1LmU1L7U1L2U1L5U2C1L1CiL1UfL2U4DaUlL8U2L2U2LmU1L7U1L2U1L5U3L1UuL2U1L3U4DaU1L1UgC1L1U1L6U3L3U1L4U3L"
    "2U1L1U1L2U3L2U3L3U3LcU4C5U3C3U1C4U2L1UlDaUhC3U1L8U1L3U1LnU1LaU1L5U3L1CpU1L2U6L2U4DaUlL8U1L3U1LnU1LaU1L5U3L1UwL"
    "1U1L2U4DaU1L2UiL8U1L3U1L15U2L1C7U1C3U5L1UhL2U4DaUaL6U5LiU3LoU1L9U1L1U2L7U1mL1cC1L2C7U4S1L7C8S1DaU13L2U1L1U2L2U"
    "1L1U2L1U6L4U1L7U1L3U1L1U1L1U2L2U1L4C1L2C9L1U2L5U1L1U1C6U2DaU2L4UwL1UvDaUmL8U1L10UrL5U37L17UkL1DaU6L6U4L4U3L1U3"
    "L2U7L3U4LdUcL1U1DaU6L12U1L1U5L1U2L17U1L99U1L4U2L7U1L1U1L4U2L15U1L4U2LxU1L4U2L7U1L1U1L4U2LfU1L1lU1L4U2L1vU11LgU"
    "gL2dUcLh8U2LhU1LqU5L23UlLdU1L4UeLiUeLiUeLdU1L3UfL1gUzL1U4L1U3DaU12DaU6L2gU8L15U1L1U5L1yUaLtU15DaLuU2L5UbL18UlL"
    "7U8DaU12LnU9L1hU17DaU6DaUdL1U2lL1bUhL7U4DaU15LuUdL2DaL18UqL10UsDaU3L3DaL10U2zL4U1L4U3L2U9L5cU1sL7qU2L6U2L12U2L"
    "6U2L8U1L1U1L1U1L1U1LvU2L1hU1L7S1L1U3L3U1L7U3L4U2L6U4LdU5L3U1L7UpS4P6S4UcScU2S5U19P1L1U2P6S5L1PaS5U1LdU7S1U2jS2"
    "L1S4L1S2LaS1L1S3L5S6L1S1L1S1L1S1L4S1LbS2L4S5L5S4L1S1U5SaU10L2UbS228L1bU1L1bU1L3pU6L4U3L2UcL12U1L1U5L1U2L1kU7L1"
    "UgLnU9L7U1L7U1L7U1L7U1L7U1L7U1L7U1L7U28L1UcxS2U2L2UbS1UuL5U5L2U4L2eU6L3U1L2iS1L4U5L15U3L2mUhLrU1hLgUe8L52uU22L"
    "g5pU1fLwdU1vL1aU2L7hU3LgDaL2UkL1bUgLpU8L1yU1dL9U2L2vU2L4U1L4UcLbU25LaU1L3U1L4U1LnUtL1gUeL1eUsDaUoL6U3L1U4DaLsU"
    "aLnUpLtU7L1bUsL1DaU12L15UnL3U1L8U4DaU6LnU3L1U5L1cU1L1U3L2U2L5U2L1U1L1UoL3U2LbU7L3UcL6U2L6U2L6U9L7U1L7U41LzUdDa"
    "U6L8mcUcLnU4L1dU6isLa6U2L2yU12L7UcL5U5L1U1LaU1LdU1L5U1L1U1L2U1L2U1L30UxLa3UiL1sU2L1iU14LcU38L5U1L3rU4SfDaS7LqS"
    "6LqSbL2hU3L6U2L6U2L6U2L3U3S2U3S2U"
)

# Characters that rules name, and so stand for themselves.
_THEMSELVES = (
    "\x80\x85\x91\x92\x93\x94\x96\x97\xa0\xa2\xa3\xa4\xa5\xab\xad\xbb\xbc\xbd\xbe\u058a\u066b\u066c\u2010\u2011\u2013\u2014\u2015"
    "\u2018\u2019\u201b\u201c\u201d\u2026\u2039\u203a\u2044\u20a0\u20ac\u2153\u2154\u201a\u201e\u201f\u207a\u207b\u208a\u208b"
)


class _Shadow(dict[int, str]):
    """A `str.translate` table that fills itself: code point to the character that stands for its class."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(range(32), UNKNOWN))
        self.update({code: chr(code) for code in range(32, 127)})
        self[127] = UNKNOWN
        self.update({ord(char): char for char in _THEMSELVES})
        self.update(dict.fromkeys((*range(0x2000, 0x200B), 0x3000), SPACE))
        self.update(dict.fromkeys(range(0x2080, 0x208A), SUBSCRIPT))
        self[9] = "\t"
        self._starts: list[int] = []
        self._classes: list[str] = []

    def _decode(self) -> None:
        start, digits = 0x80, ""
        for char in _RUNS:
            if char in _CLASSES:
                start += int(digits, 36)
                self._starts.append(start)
                self._classes.append(_CLASSES[char])
                digits = ""
            else:
                digits += char

    def __missing__(self, code: int) -> str:
        if not self._starts:
            self._decode()
        shade = UNKNOWN if code > 0xFFFF else self._classes[bisect_right(self._starts, code) - 1]
        self[code] = shade
        return shade


_SHADOW = _Shadow()


def shadow(text: str) -> str:
    """The classes of the characters of `text`: a string of the same length over a small alphabet."""
    return text if text.isascii() and text.isprintable() else text.translate(_SHADOW)
