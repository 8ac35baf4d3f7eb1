"""The tokenizer against Stanford's: recorded answers, live answers where Java is present, and properties."""

import importlib.util
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmbench.metrics.captions.ptb.tokenizer import settle_initials, tokenize
from vlmbench.metrics.captions.sanitize import sanitize

GOLDEN = json.loads(Path(__file__).with_name("data").joinpath("ptb_golden.json").read_text("utf-8"))
PUNCTUATION = {"''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"}
SAFE = st.text(max_size=80).map(lambda text: sanitize(text)[0])
MESSY = st.text(st.sampled_from("aAbI12 ..,,--''\"/:;!?()&$%#@_+=*<>[]|\\^~’“”–é日٣²½\xa0\t"), max_size=40)


def tokens_of(text):
    return tokenize([text])[0]


def test_recorded_answers():
    """At least 99.9 % of our own messy lines, and what differs is a handful."""
    wrong = [(text, line, found) for text, line in GOLDEN if (found := " ".join(tokens_of(text))) != line]
    assert len(wrong) <= len(GOLDEN) // 1000, wrong[:5]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("A man (in red) can't ride.", "a man -lrb- in red -rrb- ca n't ride"),
        ("What?! It cost £5, €6, 7¢ and ½ cup", "what ?! it cost # 5 $ 6 7 cents and 1/2 cup"),
        ("Mr. Smith lives in the U.S.", "mr. smith lives in the u.s."),
        ("person I. The step", "person i the step"),
        ("no. 5, but no. five", "no. 5 but no five"),
        ("cannot gonna 'Tis dogs' O'Brien's", "can not gon na 't is dogs o'brien 's"),
        ("two dogs 😀 in the colour grey", "two dogs in the colour grey"),
        ("5-year-old at 10:30am, mid-1990s -- 50%", "5-year-old at 10:30 am mid-1990s 50 %"),
        ("call (415) 555-1234 or 1 1/2", "call -lrb-415-rrb-\xa0555-1234 or 1\xa01/2"),
        ("", ""),
        (" . ", ""),
    ],
)
def test_habits(text, tokens):
    assert " ".join(tokens_of(text)) == tokens
    assert tokenize([text, text]) == [tokens_of(text)] * 2


@given(st.lists(st.one_of(SAFE, MESSY), max_size=5))
def test_lines_are_independent(texts):
    tokens = tokenize(texts)
    assert len(tokens) == len(texts)
    assert tokens == [tokens_of(text) for text in texts]
    assert tokenize(texts[::-1]) == tokens[::-1]


@given(st.one_of(SAFE, MESSY))
def test_tokens_fit_on_a_line(text):
    for token in tokens_of(text):
        assert token
        assert not {" ", "\n", "\r"} & set(token)
        assert token not in PUNCTUATION


@given(st.text(st.characters(categories=None), max_size=60))
def test_never_raises(text):
    tokens_of(text)


def _jar():
    package = importlib.util.find_spec("pycocoevalcap")
    places = list(package.submodule_search_locations or ()) if package else []
    jar = Path(places[0], "tokenizer", "stanford-corenlp-3.4.1.jar") if places else None
    return jar if jar and jar.exists() else None


@pytest.mark.skipif(shutil.which("java") is None, reason="Java is not on the PATH: Stanford's tokenizer can't be asked")
@pytest.mark.skipif(_jar() is None, reason="pycocoevalcap, whose jar holds Stanford's tokenizer, is not installed")
def test_stanford_still_says_so():
    """The golden file is what Stanford's program says today, between any two texts a line that begins a sentence."""
    pairs = GOLDEN[::4]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "texts")
        source.write_bytes("".join(f"{text}\nThe qqguard\n" for text, _ in pairs).encode())
        command = [
            "java",
            "-cp",
            str(_jar()),
            "edu.stanford.nlp.process.PTBTokenizer",
            "-preserveLines",
            "-lowerCase",
            str(source),
        ]
        out = subprocess.run(command, capture_output=True, check=True, timeout=120).stdout.decode().split("\n")
    groups, line = [], []
    for row in out:
        if row.rstrip() == "the qqguard":
            groups.append([word for word in " ".join(line).split(" ") if word and word not in PUNCTUATION])
            line = []
        else:
            line.append(row)
    assert len(groups) == len(pairs)
    assert [" ".join(words) for words in groups] == [line for _, line in pairs]


@pytest.mark.parametrize(
    ("after", "ends"),
    [("A man", "u"), ("The man", "u"), ("There is", "u"), ("a man", "u."), ("People ride", "u."), ("Another", "u.")],
)
def test_an_initial_at_the_end_looks_at_the_image_s_next_reference(after, ends):
    texts = ["They try the new Wii U.", after, "A room with a T.V.", "The end of vitamin C."]
    tokens = tokenize(texts)
    settle_initials(texts, tokens)
    assert [found[-1] for found in (tokens[0], tokens[2], tokens[3])] == [ends, "t.v.", "c"]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("A.", "a"),  # a captioner's degenerate output
        ("a stop sign in a large white t.", "a stop sign in a large white t"),  # cut off at its longest length
        ("a T.V.", "a t.v."),
        ("a sign with the letter Q. on it", "a sign with the letter q. on it"),
        ("a street in St.", "a street in st."),
    ],
)
def test_an_initial_at_the_end_of_a_caption_ends_the_sentence(text, tokens):
    assert " ".join(tokens_of(text)) == tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("gens. and gens. 5", "gens and gens 5"),
        ("MFG. PTYS. mfg. ptys. Mfg. Ptys. x", "mfg ptys mfg. ptys. mfg. ptys. x"),
        ("Dunkin' Donuts", "dunkin' donuts"),
        ("somethin' nothin' doin'", "somethin' nothin doin"),
        ("o'dá o'dáb", "o'dá o'dáb"),
    ],
)
def test_words_that_once_read_otherwise(text, tokens):
    assert " ".join(tokens_of(text)) == tokens
