# ruff: noqa: SIM905, E501 (word lists read better as text)
"""How often the caption tokenizer agrees with Stanford's, on messy text of our own making, and how fast it is.

    python benchmarks/tokenizer_fuzz.py --lines 20000 --seed 1

Needs Java and ``pycocoevalcap`` (for Stanford's jar). Stanford's program is run as ``pycocoevalcap`` runs it, with a line of
its own between any two texts, so that a text that swallows a line break is found and asked again alone. `--file FILE`
compares the lines of a file instead, `--words FILE` every word of a list in twelve contexts, `--record FILE` writes
the probes and Stanford's tokens as the tests' golden file.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

from ptb_families import CASES
from ptb_probe import ask

from vlmbench.metrics.captions.ptb.tokenizer import tokenize
from vlmbench.metrics.captions.sanitize import sanitize

GUARD = "The qqguard"  # what follows a caption mostly begins so
CONTEXTS = (
    "a {} on", "A {}. The dog", "{}. the dog", "near the {}.", "{}, and {}", "the {}'s tail", "'{}' says", "a {}-like {}",
    "({})", "two {}' hats", "{} 5", "{}; {}!",
)  # fmt: skip

WORDS = (
    "the a man woman riding on of with red street two dogs running grass city light people standing near table plate food "
    "It He She They We In However Model image shows appears likely because which after before data results state-of-the-art "
    "well-known mid-1990s 5-year-old re-enter co-op e-mail X-ray T-shirt U.S.-led non-U.S. anti-war St.-Denis cannot gonna "
    "wanna gotta gimme lemme don't can't won't I'm I've I'd he'll she's it's they're y'all ma'am o'clock O'Brien D'Angelo "
    "l'eau d'Artagnan Qur'an Hawai'i Xi'an 'tis 'Twas 'em 'til 'cause 'n' rock'n'roll dogs' James's I'd've shouldn't've ain't"
).split()
ABBREVIATIONS = (
    "Mr. Mrs. Dr. Prof. St. Jan. Feb. Sept. Mon. Inc. Corp. Co. Ltd. Jr. Sr. vs. etc. e.g. i.e. cf. No. Nos. Fig. pp. p.m. a.m. "
    "U.S. U.K. U.N. D.C. Ph.D. M.D. B.A. A.B.C. J.R.R. Gen. Col. Sen. Rep. Gov. Calif. Mass. Tex. Ave. Blvd. Ft. sq. ft. est. "
    "approx. min. max. al. op. Vol. Ch. Sec. Eq. Ref. Tel. Ext. in. lb. oz. a.k.a. P.S. Q.E.D. Op. Ca. Ill. Art. Messrs."
).split()
OTHER_SCRIPTS = (
    "日本語 テスト。 中文，你好！ 한국어 العربية، עברית हिन्दी ไทย ελληνικά Σίσυφος русский İstanbul Straße café naïve résumé "
    "cafe\u0301 n\u0303o ﬁne ｆｕｌｌ１２３ １２３ ٣٤٥ x² H₂O 10⁻³ №5 ½ ¾ 3½ µm Å ﷺ 𝒳 𝟙 \u200b a\u200bb \ufeff \u200e \u202e soft\xadware "
    "non\u2011breaking \u2010 ‐ 1\xa0000 5\u202fkm 10\u2009m \u3000 ♥ ★ ✓ → ← ⇒ ≤ ≥ ≠ × ÷ ± ∞ ° ™ ® © • · § ¶ † ‡ … ‥ „a“ ‚b‘ «c» ‹d›"
).split(" ")
EMOJI = "😀 😂😂 ❤️ 👍🏽 🇫🇷 👩‍👩‍👧 ☀️ ✨ ⚠️ ✅ 1️⃣ ©️ ☺ ♀ 🤷‍♂️".split()
FACES = ":) :-) ;) :( :D :P :-/ :/ ^_^ -_- <3 </3 :'( =) =D xD XD o_O O.o (^^) (-_-) >:( :| :O \\o/ ¯\\_(ツ)_/¯ :3 T_T".split()
NET = (
    "http://www.foo.com/bar?x=1&y=2 https://example.org/a_(b)#c www.foo.com www.foo.co.uk/ab foo.com foo.com/bar. example.io/x "
    "foo@bar.com john.doe+x@mail.example.co.uk <a@b.com> mailto:a@b.org @user @user_name1 #hashtag #1 #tag-a #日本 192.168.0.1 "
    "ftp://a.b/c file.txt index.html main.py a/b/c /usr/local/bin ~/x C:\\dir\\f.txt and/or w/ w/o c/o km/h his/her/their "
    "AT&T R&D Q&A &amp; AT&amp;T &lt;b&gt; &quot;x&quot; &nbsp; &copy; &#39; caf&eacute; C++ C# F# .NET Node.js Python3.8 v1.2.3"
).split()
MARKUP = (
    "<b>bold</b>",
    "<br/>",
    '<a href="http://x.y/z">',
    "<img src='a b.jpg' alt=\"c\"/>",
    "<!-- note -->",
    "<p class=x>",
    "a<b",
    "x < y",
    "**bold**",
    "*it*",
    "__x__",
    "`code`",
    "```python",
    "```",
    "# Title",
    "## 2.1 Results",
    "- item",
    "* item",
    "1. First",
    "2) second",
    "(a)",
    "[link](http://a.b/c)",
    "![img](x.png)",
    "| a | b |",
    "|---|:-:|",
    "> quote",
    "---",
    "***",
    "====",
    "- [x] done",
    "~~no~~",
    "[^1]",
    "$x^2 + y_1$",
    "\\frac{1}{2}",
    "\\begin{itemize}",
    "$$E=mc^2$$",
    "\\alpha_{i,j}",
    "f(x) = 2x+1;",
    "if (a != b) { return -1; }",
    "x += 1",
    "a[i] = {'k': 1.5}",
    'print("hi\\n")',
    "i++",
    "a->b",
    "x==y",
    "&&",
    "||",
    "!=",
    "<=",
    ">=",
    "=>",
    "->",
    "::",
    "...",
    "....",
    ". . .",
    "--",
    "---",
    "-----",
    "'",
    '"',
    "``",
    "''",
    "“x”",
    "‘y’",
    "it’s",
    "don’t",
    "dogs’",
    "’90s",
    "'90s",
    "'05",
    "{}",
    "[]",
    "()",
    "%",
    "@",
    "#",
    "\\",
    "\\*",
    "1\\/2",
    "?!",
    "!!!",
    "??",
    "?!?!",
    ";)",
    "*sigh*",
    "(see Fig. 3)",
    "(e.g., x)",
    "[sic]",
    "{x}",
    "/",
    "~",
    "^",
    "+",
    "=",
    "_",
    "___",
    "§ 3",
    "•",
    "–",
    "—",
)


def _number(draw: random.Random) -> str:
    digits = lambda low, high: "".join(draw.choice("0123456789") for _ in range(draw.randint(low, high)))  # noqa: E731
    forms: tuple[Callable[[], str], ...] = (
        lambda: digits(1, 4),
        lambda: f"{digits(1, 3)},{digits(3, 3)}",
        lambda: f"${digits(1, 3)},{digits(3, 3)}.{digits(2, 2)}",
        lambda: f"{digits(1, 3)}.{digits(1, 3)}",
        lambda: f"{digits(1, 2)}%",
        lambda: f"{digits(1, 2)}:{digits(2, 2)}am",
        lambda: f"{digits(1, 2)}/{digits(1, 2)}/{digits(2, 4)}",
        lambda: f"{digits(1, 1)} {digits(1, 1)}/{digits(1, 1)}",
        lambda: f"({digits(3, 3)}) {digits(3, 3)}-{digits(4, 4)}",
        lambda: f"+{digits(1, 2)} {digits(3, 3)} {digits(3, 3)} {digits(4, 4)}",
        lambda: f"{digits(1, 2)}-{draw.choice(WORDS)}",
        lambda: f"{digits(4, 4)}-{digits(2, 2)}-{digits(2, 2)}",
        lambda: f"-{digits(1, 2)}.{digits(1, 1)}",
        lambda: (
            f"{digits(1, 2)}{draw.choice(['st', 'nd', 'rd', 'th', 'kg', 'mm', 'GB', 'x', 'k', 'M', 'C', '°C', '¢', '€', '+'])}"
        ),
        lambda: f"{digits(1, 2)}x{digits(1, 2)}",
        lambda: f"{digits(4, 4)}s",
        lambda: f"{draw.choice('£€¥₹')}{digits(1, 3)}m",
        lambda: f"{draw.choice(['US', 'A', 'HK', 'C'])}${digits(1, 3)}",
        lambda: f"{digits(1, 1)}'{digits(1, 2)}\"",
        lambda: f"#{digits(1, 3)}",
        lambda: f"No. {digits(1, 2)}",
        lambda: f"{digits(1, 2)}.{digits(1, 2)}.{digits(1, 2)}",
        lambda: f"{digits(1, 2)}e-{digits(1, 1)}",
        lambda: f"{digits(1, 2)}–{digits(1, 2)}",
        lambda: f"{digits(1, 2)}-{digits(1, 2)}",
        lambda: f"0x{digits(1, 4)}F",
        lambda: f"{digits(1, 2)}.",
    )
    return draw.choice(forms)()


def _wrap(draw: random.Random, word: str) -> str:
    before = draw.choice(["", "", "", "", "", "", '"', "(", "'", "“", "‘", "[", "*", "**", "—", "$", "#", "-"])
    after = draw.choice(
        [
            "",
            "",
            "",
            "",
            "",
            ",",
            ".",
            ".",
            "?",
            "!",
            ";",
            ":",
            '"',
            ")",
            "'s",
            "’s",
            "...",
            "…",
            ".)",
            '."',
            ",”",
            "**",
            "--",
            "'",
            "?!",
            "]",
        ]
    )
    return before + word + after


def sentence(draw: random.Random) -> str:
    """Newswire: words, abbreviations, initials and numbers, with the punctuation of sentences."""
    pools = [lambda: draw.choice(WORDS)] * 6 + [lambda: draw.choice(ABBREVIATIONS), lambda: _number(draw)]
    out = [draw.choice(pools)() for _ in range(draw.randint(5, 40))]
    return " ".join(_wrap(draw, word) if draw.random() < 0.3 else word for word in out) + draw.choice(
        ["", ".", "!", "?", '."']
    )


def chat(draw: random.Random) -> str:
    """An answer of a chat model: Markdown, code and formulae on one line."""
    pools = (
        [lambda: draw.choice(MARKUP)] * 2
        + [lambda: draw.choice(WORDS)] * 4
        + [lambda: _number(draw), lambda: draw.choice(NET)]
    )
    return " ".join(draw.choice(pools)() for _ in range(draw.randint(5, 50)))


def social(draw: random.Random) -> str:
    """Posts: emoji, faces, tags, addresses, other scripts, missing blanks."""
    pools = (WORDS, WORDS, WORDS, EMOJI, FACES, NET, OTHER_SCRIPTS, ABBREVIATIONS)
    out = [draw.choice(draw.choice(pools)) for _ in range(draw.randint(3, 30))]
    return "".join(word + draw.choice([" ", " ", " ", " ", " ", "  ", "", ",", "\xa0"]) for word in out)


def glued(draw: random.Random) -> str:
    """Anything beside anything, often without a blank."""
    pools = (WORDS, ABBREVIATIONS, NET, MARKUP, OTHER_SCRIPTS, FACES)
    pick = lambda: _number(draw) if draw.random() < 0.2 else draw.choice(draw.choice(pools))  # noqa: E731
    return "".join(
        _wrap(draw, pick()) + draw.choice(["", " ", " ", " ", " ", "-", "/", ".", ","])
        for _ in range(draw.randint(2, 15))
    )


def characters(draw: random.Random) -> str:
    """Single characters at random, a few of them from the whole of Unicode."""
    common = "aaabAB1120  ..,,--''\"/:;!?()&$%#@_+=*<>[]{}|\\^~`’“”–—…éß日٣²½€£\xa0\t"
    out = []
    for _ in range(draw.randint(2, 30)):
        code = draw.randrange(0x20, 0x3100) if draw.random() < 0.02 else ord(draw.choice(common))
        out.append(chr(code))
    return "".join(out)


GENERATORS = (sentence, chat, social, glued, characters)


def stanford(texts: list[str]) -> list[list[str]]:
    """The tokens Stanford's program gives for each text, without pycocoevalcap's punctuation."""
    return [[token for token in line.split(" ") if token] for line in ask(texts, GUARD)]


def word_lines(words: Path) -> dict[str, list[str]]:
    """Every word of a list in each of the contexts, three casings in turn."""
    found = sorted({line.strip() for line in words.read_text("utf-8").splitlines()} - {""})
    return {
        context: [sanitize(context.replace("{}", CASES[n % 3](word)))[0] for n, word in enumerate(found)]
        for context in CONTEXTS
    }


def compare(name: str, texts: list[str], show: int) -> int:
    """Prints the agreement on `texts` and the first differences; returns how many differ."""
    begin = time.perf_counter()
    ours = tokenize(texts)
    seconds = time.perf_counter() - begin
    wrong = [(text, a, b) for text, a, b in zip(texts, stanford(texts), ours, strict=True) if a != b]
    words = sum(map(len, ours))
    print(
        f"{name}: {len(texts) - len(wrong):,} of {len(texts):,} lines agree ({1 - len(wrong) / max(1, len(texts)):.4%}), "
        f"{len(texts) / seconds:,.0f} lines/s, {words / seconds:,.0f} tokens/s"
    )
    for text, theirs, mine in wrong[:show]:
        first = next(
            (i for i, (a, b) in enumerate(zip(theirs, mine, strict=False)) if a != b), min(len(theirs), len(mine))
        )
        low = max(0, first - 2)
        print(f"  {text[:70]!r}\n    Stanford ... {theirs[low : first + 4]}\n    vlmbench ... {mine[low : first + 4]}")
    return len(wrong)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lines", type=int, default=10_000, help="lines in all, shared by the generators")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=10, help="differences to show for each generator")
    parser.add_argument("--file", type=Path, help="compare the lines of this file instead")
    parser.add_argument("--words", type=Path, help="compare every word of this list, in twelve contexts")
    parser.add_argument("--record", type=Path, help="write the lines and Stanford's tokens to this JSON file")
    args = parser.parse_args()
    if args.file:
        compare(args.file.name, [sanitize(line)[0] for line in args.file.read_text("utf-8").split("\n")], args.show)
        return
    if args.words:
        lines = word_lines(args.words)
        wrong = sum(compare(context, texts, args.show) for context, texts in lines.items())
        print(f"all: {wrong} of {sum(map(len, lines.values())):,} differ")
        return
    each = max(1, args.lines // len(GENERATORS))
    corpora = {}
    for generator in GENERATORS:
        draw = random.Random(f"{args.seed}:{generator.__name__}")
        corpora[generator.__name__] = [sanitize(generator(draw))[0] for _ in range(each)]
    if args.record:
        texts = [text for lines in corpora.values() for text in lines]
        golden = [[text, " ".join(tokens)] for text, tokens in zip(texts, stanford(texts), strict=True)]
        args.record.write_text("[\n" + ",\n".join(json.dumps(pair) for pair in golden) + "\n]\n", "utf-8")
        return
    wrong = sum(compare(name, texts, args.show) for name, texts in corpora.items())
    print(f"all: {1 - wrong / (each * len(corpora)):.4%} of {each * len(corpora):,} lines agree")


if __name__ == "__main__":
    main()
