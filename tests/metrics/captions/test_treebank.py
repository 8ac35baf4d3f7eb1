"""The grammar against every answer that was observed, and its lists against what they are drawn from."""

import gzip
import hashlib
import importlib.util
import itertools
import json
import sys
from pathlib import Path

import pytest

from vlmbench.metrics.captions.ptb.lexer import READINGS, lex
from vlmbench.metrics.captions.ptb.tokenizer import settle_initials, tokenize
from vlmbench.metrics.captions.sanitize import sanitize

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FILE = HERE / "data" / "ptb_observed.json.gz"
OBSERVED = json.loads(gzip.decompress(FILE.read_bytes()).decode("utf-8", "surrogatepass"))
LOG = json.loads(FILE.with_name("ptb_observed.log.json").read_text("utf-8"))

# How many probes of a family read otherwise here, and why.
OTHERWISE = {
    "characters": 4,  # a capital sigma after a hyphen, `⁺₂`, an ideographic comma after `no.`
    "pairs": 1,  # `1+` with a soft hyphen before the figure
    "two_lines": 2,  # `no.` and `fig.` look for a figure in the next caption
}


def _load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FAMILIES = _load("ptb_families")


def _said(text):
    return " ".join(lex(text, ends=False))


def _two_lines(text):
    """The first line where the second is the next reference of the same image, and the second."""
    lines = text.split("\n")
    tokens = tokenize(lines)
    settle_initials(lines, tokens)
    return "\n".join([" ".join(tokens[0]), _said(lines[1])])


def test_every_reading_names_what_it_serves():
    named = set(itertools.chain.from_iterable(reading.probes.split() for reading in READINGS))
    assert all(reading.probes for reading in READINGS)
    assert named <= set(OBSERVED)
    assert len({reading.name for reading in READINGS}) == len(READINGS)


def test_the_log_is_of_this_file():
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() == LOG["observed_sha256"]
    assert {name: family["probes"] for name, family in OBSERVED.items()} == LOG["probes"]


def test_the_lists_are_those_of_the_observations():
    text = _load("ptb_tables").tables(OBSERVED)
    assert (ROOT / "vlmbench/metrics/captions/ptb/tables.json").read_text("utf-8") == text


@pytest.mark.parametrize("name", sorted(FAMILIES.LISTED))
def test_listed_answers(name):
    texts = list(FAMILIES.LISTED[name]())
    answers = OBSERVED[name]["answers"]
    assert len(texts) == len(answers) == OBSERVED[name]["probes"]
    say = _two_lines if name == "two_lines" else _said
    wrong = [(text, answer, say(text)) for text, answer in zip(texts, answers, strict=True) if say(text) != answer]
    assert len(wrong) == OTHERWISE.get(name, 0), wrong[:20]


@pytest.mark.parametrize("name", sorted(FAMILIES.sparse([])))
def test_sparse_answers(name):
    """All that is not by the plain rule, and a sample of what is."""
    other = dict(OBSERVED[name]["other"])
    wrong = [(text, answer, _said(text)) for text, answer in other.items() if _said(text) != answer]
    assert len(wrong) == OTHERWISE.get(name, 0), wrong[:20]
    sample = itertools.islice(FAMILIES.sparse(["dog", "ma'am"])[name](), 0, 3_000_000, 499)
    plain = [(text, rule, _said(text)) for text, rule in sample if text not in other and _said(text) != rule]
    assert plain == []


def test_characters():
    """A sample of the characters of each kind in each place."""
    wrong, count = [], 0
    for kind in OBSERVED["characters"]["kinds"]:
        for item in kind["characters"].split()[::7]:
            sign = chr(int(item.partition("-")[0], 16))
            for place, answer in zip(FAMILIES.PLACES, kind["answers"], strict=True):
                text = place.replace("{}", sign)
                count += 1
                if sanitize(text)[0] == text and _said(text).lower() != answer.replace("{}", sign.lower()).lower():
                    wrong.append((text, answer, _said(text)))
    assert count > 1000
    assert len(wrong) == OTHERWISE.get("characters", 0), wrong[:20]
