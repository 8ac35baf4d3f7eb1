# ruff: noqa: SIM905, E501 (lists of probes read better as text)
"""The probes that ``ptb_probe.py`` puts to Stanford's program, made here by rule, family by family.

A *listed* family is small enough that every answer is kept. Of a *sparse* family (every string of up to four letters,
every word of a dictionary …) those answers are kept that differ from the plain rule, which each family says.
"""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Callable, Iterable, Iterator

LOWER = string.ascii_lowercase
CASES: tuple[Callable[[str], str], ...] = (str.lower, lambda word: word[0].upper() + word[1:], str.upper)
Texts = Iterable[str]


def strings(alphabet: str, longest: int, shortest: int = 1) -> Iterator[str]:
    """Every string over `alphabet`."""
    for length in range(shortest, longest + 1):
        yield from map("".join, itertools.product(alphabet, repeat=length))


def filled(patterns: Iterable[str], words: Iterable[str]) -> Iterator[str]:
    """Every word in the place of ``{}`` of every pattern."""
    words = list(words)
    for pattern in patterns:
        for word in words:
            yield pattern.replace("{}", word)


def groups(joints: tuple[str, ...], longest: int, before: str = "") -> Iterator[str]:
    """Groups of 1 to `longest` digits with the joints between them, in a sentence."""
    for sizes in itertools.product(range(1, longest + 1), repeat=len(joints) + 1):
        parts = ["2345678901"[:size] for size in sizes]
        yield f"q {before}" + "".join(part + joint for part, joint in zip(parts, (*joints, ""), strict=True)) + " q"


# --- single characters: every one of the Basic Multilingual Plane, each in all of these places
PLACES = (
    "x {} x", "x{}b", "1{}2", "x{}", "{}x", "{}{}", "5{}", "#{}", "x.{}", "x-{}", "x_{}", "x'{}", "{}'x", "@{}", "x/{}",
    "{}&B", "'{}s", "{}.", "x@b{}", "{}²", "{}₂", "“{}", "no.{}5",
)  # fmt: skip


def characters() -> list[str]:
    """All but those that `sanitize` replaces and the halves of surrogate pairs."""
    left_out = {*range(0x20), 0x7F, 0x85, 0x2028, 0x2029, *range(0xD800, 0xE000)} - {9}
    return [chr(code) for code in range(0x10000) if code not in left_out]


# --- listed families
_LATIN = [chr(code) for code in (*range(0x20, 0x7F), *range(0xA0, 0x100))]
_WEB = [*string.punctuation, *"éа日²½“‘’”…–·°€¿\u0663\u02c2\xad\xa0"]
_ENTITIES = (
    "amp lt gt quot apos nbsp ndash mdash hellip lsquo rsquo ldquo rdquo copy euro pound frac12 times szlig".split()
)
_ACCENTS = "acute grave uml circ tilde cedil ring slash caron lig".split()


def _pairs() -> Texts:
    both = ["".join(pair) for pair in itertools.product(_LATIN, repeat=2)]
    return filled(("a{}b", "1{}2", "a {} b"), both)


def _addresses() -> Texts:
    yield from filled(
        ("“{}a.com q", "“a{}b.com q", "foo.com/a{}b q", "foo.com/a{} q", "www.foo.com/a{}b q", "www.a{}b.com q",
         "www.foo.com/a{} q", "http://a{}b q", "http://a.b/{}b q", "http://a.b/c{} q", "a{}b@c.d q", "{}b@c.d q",
         "a{}@c.d q", "a@{} q", "a@{}b q", "a@b{} q", "a@b{}c q", "<a{}b@c.d> q", "a@b.{}c q", "@a{} q", "@a{}b q",
         "#a{} q", "#{}a q", "#a{}b q", "{}foo.com/ab q", "www{}a.bc q", "https{}//a.b q"), _WEB)  # fmt: skip
    yield from filled(
        ("{}", "see {} now", "see {}.", "({})", '"{}"', "{}, and", "{}'s", "{}-x"),
        "www.foo.com http://foo.com/a,b https://x.y/z foo.com foo.com/ab foo.org foo.co.uk FOO.com/ab “foo.com a@b a@b.c "
        "john.doe+x@mail.example.co.uk mailto:a@b.org @user @user_1 @5 #tag #tag5 #5 ftp://a.b/c 192.168.0.1 file://x "
        "www.foo.co.uk/ab?x=1&y=2 Www.A.De 5foo.com foo5.com -foo.com/ab foo.com/x foo.com/ xhttp://foo http://x".split(),
    )


def _tags() -> Texts:
    bodies = [
        "b",
        "b ",
        " b",
        "b/",
        "b /",
        "/b",
        "/ b",
        "5",
        "é",
        "b5",
        "b-c",
        "b_c",
        "b:c",
        "b.c",
        "b x",
        "b x=y",
        "b x='y'",
    ]
    bodies += [
        'b x="y z"',
        'b x="y>z"',
        'b x = "y"',
        'b x="y" z',
        'b x="y"z="w"',
        "!-- note --",
        "!doctype html",
        "!x",
        "?x",
    ]
    bodies += [
        '?xml v="1"?',
        "b c=''",
        "b c=",
        'b c-d="x"',
        'b 1="x"',
        "a b c d",
        '/b c="d"',
        "b / ",
        "b /c",
        "b c=1",
        "x,y",
    ]
    return filled(("<{}>", "q <{}> q", "<{}", "{}>", "a<{}>b", "<<{}>>", "<{}>>"), bodies)


def _entities() -> Texts:
    yield from filled(("&{};", "a&{};b", "caf&{};s x"), [a + b for a in string.ascii_letters for b in _ACCENTS])
    yield from filled(("&{};", "a &{}; b", "AT&{};T"), ["#39", "#8217", "AMP", "x", *_ENTITIES])


def _dates() -> Texts:
    yield from filled(("x {} y", "x {}", "'{}", "’{} y"), (f"'{digits}" for digits in strings("05s9", 4)))
    for joints in itertools.product("/-.:", repeat=2):
        yield from groups(joints, 4)
    hours = ["10:30", "1:5", "5", "12:00:01", "5.30"]
    yield from filled(("at {}am", "at {} p.m.", "at {}p.m.", "at {}PM, a", "{}h", "the {}th"), hours)


def _numbers() -> Texts:
    yield from filled(("q {} q",), strings("1\u0663+-.,:", 5))
    yield from filled(
        ("{}5", "{} 5", "{}5.50 a", "5{}", "5 {}", "-{}5"), "$ £ € ¥ ¢ US$ HK$ A$ us$ # % ° °C kg x ½ ¼ ²".split()
    )


def _phones() -> Texts:
    for joints in ((" ",), (" ", " "), (" ", "-"), ("-", " "), ("-", "-"), (" ", "."), ("\xa0", " "), ("  ", " ")):
        yield from groups(joints, 6)
        yield from groups(joints, 5, "+")
    for joints in itertools.product(" -", repeat=3):
        yield from groups(joints, 5)
        yield from groups(joints, 5, "+")
    for joints in ((") ", "-"), (")", "-"), (") ", " "), (") ", ".")):
        yield from groups(joints, 5, "(")


def _fractions() -> Texts:
    for joints in (("/",), ("\\/",), (" ", "/"), ("-", "/"), ("\xa0", "/"), (" ", "\\/"), (" ", " ", "/"), ("/", "/")):
        yield from groups(joints, 5 if len(joints) < 3 else 3)
    yield from filled(("q {} q",), strings("1/\u0663 -\\a", 5))


def _pauses() -> Texts:
    units = "dog x 9 dog9 5x x-y a5-b x.y x.y.z a.b-c x_y ma'am o'neil d'ab n'ab J'abc 5.5 5-5 5/5 a/b A&B a!b #a @a é é-é ño % - * "
    units += "don't dog's cannot gonna inc mr ph.d u.s no fig :) '90s $5 +5 555-1234 www.a.com foo.com/xy non-u.s Tex.-etc a-b-c"
    return filled(
        ("{}., and", "{}.,x", "{}.; a", "{}.: a", "{}.? a", "{}.! a", "{}.) a", '{}." a', "{}.. a", "{}... a"),
        units.split(),
    )


LISTED: dict[str, Callable[[], Texts]] = {
    "pairs": _pairs,
    "hyphens": lambda: itertools.chain(strings("a1é-_.", 5), strings("aé1-'", 5), strings("ab.-", 6, 6)),
    "slashes": lambda: itertools.chain(strings("a1-/", 6), strings("aé_./\\", 5)),
    "dots": lambda: itertools.chain(strings("aé1.!?", 5), strings("aB1.,-/ ", 4)),
    "apostrophes": lambda: itertools.chain(
        strings("oaBI'’ ", 5), strings("nNtT'x’ ", 4), strings("dsem'’l ", 4), strings("nt'`‘’o", 4),
        filled(("{}'ab", "zb{}'Ab", "zba'{}b", "zb{}'a", "{}'5b", "{}'ab-x", "x-{}'ab", "{}'ab., x", "za{}n't", "x{}'s"), string.ascii_letters),
        filled(("x 'n{} y", "bos'n{}", "x ’n{} y", "dog's{} y", "dog’s{} y", "'em{} y", "don't{}", "dogs'{}"), _WEB),
    ),
    "numbers": _numbers,
    "dates": _dates,
    "phones": _phones,
    "fractions": _fractions,
    "signs": lambda: itertools.chain(strings("A&+$#a5.", 5), strings("@a_.-5#é", 4), strings("cCfF#+", 4)),
    "quotes": lambda: itertools.chain(strings("\"'`‘’“”a", 4), strings("'`\"‘’“”«»‹›‛„‚\x91\x92\x93\x94", 2)),
    "runs": lambda: itertools.chain(strings("*\\_<>a-", 5), strings("-.… ", 6), filled(("x{}y", "{}", "1 {} 2"), (c * n for c in string.punctuation for n in range(2, 9)))),
    "faces": lambda: itertools.chain(strings(":;=-o()D'8", 4), strings(":;=8xX<>-o'^_*~()[]{}DdPpO/\\|@.", 3), filled(("({})",), strings("xX=~<>'^-_.o", 3))),
    "pauses": _pauses,
    "addresses": _addresses,
    "tags": _tags,
    "entities": _entities,
    "marks": lambda: strings("é\u02c2a.-'5²", 5),
    "two_lines": lambda: filled(
        ("{}\nThe dog", "{}\nthe dog", "{}\nA man", "{}\na man", "{}\nPeople ride", "{}\nThere", '{}\n"The dog', "{}\n5 dogs", "{}\n", "{}\nMr. X"),
        ["zab Q.", "Q.", "a T.", "in the U.S.", "an A.B.", "zab-Q.", "a no.", "fig.", "Inc.", "x Q.  ", 'x Q."', "the end.", "the end", "x 234 567", "x 1"],
    ),
    "after_abbreviations": lambda: filled(
        tuple("{}." + rest for rest in ("x", "xy", "-x", "-xy", "5", "-5", "é", "-é", ".", ",x", ")x", "x-y", "x y", "&X", "_x", "!x", "x5", "1x", "'s", "...")),
        "Inc inc Mon Tex tex Pty PTY Mr mr Gen no No fig p.m U.S Ph.D Q St vs etc Art mfg dog".split(),
    ),
}  # fmt: skip


# --- sparse families
def candidates(words: list[str]) -> list[str]:
    """What might be an abbreviation: short strings, words, their beginnings, ends and consonants, some with an s."""
    found = {*strings(LOWER, 4), *(f"{a}.{b}" for a in strings(LOWER, 2) for b in LOWER if len(a) > 1)}
    for word in words:
        found.add(word)
        found.update(itertools.chain.from_iterable((word[:n], word[:n] + "s") for n in range(3, 8)))
        found.update(word[:n] + word[-m:] for n in range(1, 5) for m in range(1, 4))
        thin = word[0] + re.sub("[aeiou]", "", word[1:])
        found.update((thin, thin + "s"))
    return sorted(found)


AFTER_PERIOD = {
    "{}. the": "{} the",
    "{}. The": "{} the",
    "{}. Xyq": "{} xyq",
    "{}.": "{}",
    "{}. 5": "{} 5",
    "{}.-x": "{}.-x",
}
CLITICS = {"s", "d", "m", "n", "ll", "re", "ve"}


def at_apostrophe(text: str) -> str:
    """The plain rule for ``letters'letters`` in small letters, clitics and names by their shape."""
    a, _, b = text.partition("'")
    if re.fullmatch("[a-z]+[aeiouy]'[aeiou][a-z]*", text) or (a in tuple("dlno") and len(b) > 1 and b not in CLITICS):
        return text
    if b in CLITICS:
        return f"{a} '{b}"
    if b[:1] == "t" and re.fullmatch("[a-z]*[a-mo-z]n", a):
        return f"{a[:-1]} n'{b}"
    return f"{a}' {b}" if a in {"d", "l"} or (a in {"j", "y"} and b[0] not in "dms") else f"{a} {b}"


def sparse(words: list[str]) -> dict[str, Callable[[], Iterator[tuple[str, str]]]]:
    """Each sparse family: its probes, each with the answer of the plain rule.

    Args:
        words: a dictionary, small letters only, words with an apostrophe among them.
    """
    plain = [word for word in words if word.isalpha() and word.isascii()]
    short = list(strings(LOWER, 4))
    known = sorted({*short, *plain})

    def cased(pattern: str, rule: str, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        for case in CASES:
            for name in names:
                yield pattern.replace("{}", case(name)), rule.replace("{}", name)

    def abbreviations() -> Iterator[tuple[str, str]]:
        longer = sorted(set(candidates(plain)) - set(known))
        for pattern, rule in AFTER_PERIOD.items():
            yield from cased(pattern, rule, known)
            if pattern in ("{}. the", "{}.-x"):
                yield from cased(pattern, rule, longer)

    def lone_words() -> Iterator[tuple[str, str]]:
        clipped = sorted(
            {word[:-1] for word in plain if word.endswith("ing")} | {word[:n] for word in plain for n in (5, 6)}
        )
        for pattern in ("a {} b", "a '{} b", "a {}' b"):
            yield from cased(pattern, "a {} b", known)
        yield from cased("a {}' b", "a {} b", clipped)

    def apostrophe_words() -> Iterator[tuple[str, str]]:
        two = list(strings(LOWER, 2))
        texts = itertools.chain(
            (f"{a}'{b}" for a in LOWER for b in strings(LOWER, 3)),
            (f"{a}'{b}" for a in two for b in two),
            (f"{a}'{b}" for a in strings(LOWER, 3, 3) for b in LOWER),
            (word for word in words if re.fullmatch("[a-z]+'[a-z]+", word)),
            (f"{word}'{b}" for word in plain for b in "atnq"),
        )
        return ((text, at_apostrophe(text)) for text in texts)

    def initials() -> Iterator[tuple[str, str]]:
        yield from cased("zab Q. {} and", "zab q. {} and", known)
        yield from cased("zab Q. {}. x", "zab q. {} x", short)
        yield from ((f"in a {c}. then", f"in a {c.lower()}. then") for c in string.ascii_letters + "éÉ5")

    return {
        "abbreviations": abbreviations,
        "words": lone_words,
        "apostrophe_words": apostrophe_words,
        "initials": initials,
        "files": lambda: cased("q 5.{} q", "q 5 {} q", short),
        "domains": lambda: cased("“ab.{} q", "ab.{} q", short),
        "entity_names": lambda: cased("&{};", "& {}", short),
    }
