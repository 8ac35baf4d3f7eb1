"""The normaliser and the stemmer against what METEOR's jar answered to the probes, and answers where there is Java."""

import gzip
import importlib.util
import json
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from vlmbench.metrics.captions.java import java
from vlmbench.metrics.captions.meteor.normalize import normalize
from vlmbench.metrics.captions.meteor.resources import WordNet, find_sources, nonbreaking_prefixes
from vlmbench.metrics.captions.meteor.stem import stem
from vlmbench.metrics.captions.ptb.tokenizer import tokenize

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT.parent / "shared" / "data" / "captions"
_spec = importlib.util.spec_from_file_location("meteor_probe", ROOT / "benchmarks" / "meteor_probe.py")
probe = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(probe)

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="no Java: the jar cannot be asked")
PIECES = [
    *"aabs1é.,'-- ",
    "dog",
    "Dr",
    "No",
    "pp",
    "u.s",
    "''",
    "--",
    "...",
    "“",
    "’",
    "–",
    "\xa0",
    "$",
    "漢",
    "'s",
    "n't",
    "10",
]


def observed() -> dict[str, list[list[str]]]:
    families: dict[str, list[list[str]]] = {}
    for line in gzip.decompress(probe.OBSERVED.read_bytes()).decode().rstrip("\n").split("\n"):
        if line.startswith("# "):
            rows = families.setdefault(line[2:], [])
        else:
            rows.append(line.split("\t"))
    return families


OBSERVED = observed()


@pytest.mark.parametrize("family", ["marks", "runs", "letters", "signs", "stops"])
def test_every_observed_answer(family):
    rows = OBSERVED[family]
    assert len(rows) > 500
    assert [(text, answer) for text, answer in rows if " ".join(normalize(text)) != answer] == []


def test_every_observed_character():
    wrong = []
    for first, last, kind in OBSERVED["characters"]:
        for code in range(int(first, 16), int(last, 16) + 1):
            if code in (10, 13) or 0xD800 <= code < 0xE000:
                continue
            character = chr(code)
            small = character.lower()
            expected = {"inside": f"a{small}b", "alone": f"a {small} b", "blank": "a b"}.get(kind, kind[6:])
            if " ".join(normalize(f"a{character}b")) != expected:
                wrong.append((first, code))
    assert wrong == []


def test_the_prefixes_are_the_jars_and_are_kept_nowhere_else():
    always, numbers = nonbreaking_prefixes(find_sources())
    assert {"Dr", "vs", "e.g", "Nos"} <= always
    assert numbers == {"No", "Art", "pp"}
    assert normalize("Dr. X") == ["dr.", "x"]
    assert normalize("Bug. X") == ["bug", ".", "x"]
    sources = "".join(
        path.read_text("utf-8") for path in (ROOT / "vlmbench" / "metrics" / "captions").glob("meteor*.py")
    )
    assert not re.search("Messrs|Mlle|Msgr|Supt", sources)


@needs_java
def test_the_jar_answers_as_it_did():
    draw = random.Random(5)
    rows = [row for family in ("marks", "letters", "signs", "stops") for row in draw.sample(OBSERVED[family], 500)]
    assert probe.ask([text for text, _ in rows]) == [answer for _, answer in rows]


@needs_java
@pytest.mark.parametrize("seed", range(3))
def test_texts_that_were_no_probes(seed):
    draw = random.Random(seed)
    texts = ["".join(draw.choices(PIECES, k=draw.randint(6, 25))) for _ in range(4000)]
    answers = probe.ask(texts)
    assert [(text, said) for text, said in zip(texts, answers, strict=True) if " ".join(normalize(text)) != said] == []


@needs_java
def test_published_captions():
    if not PUBLISHED.is_dir():
        pytest.skip("the published captions are not on this machine")
    captions = set()
    for path in PUBLISHED.glob("*.json"):
        rows = json.loads(path.read_text("utf-8"))
        captions |= {row["caption"] for row in (rows["annotations"] if isinstance(rows, dict) else rows)}
    raw = sorted(" ".join(caption.split()) for caption in captions)
    texts = [*raw, *map(" ".join, tokenize(raw))]
    answers = probe.ask(texts)
    assert len(texts) > 10_000
    assert [(text, said) for text, said in zip(texts, answers, strict=True) if " ".join(normalize(text)) != said] == []


@needs_java
def test_stems_of_every_word_of_wordnet():
    wordnet = WordNet(find_sources())
    words = sorted({w for word in (*wordnet.own, *wordnet.bases) for w in re.split("[_ ]", word.lower()) if w})
    command = [java(), "-cp", str(find_sources().jar), "Stemmer", "en"]
    done = subprocess.run(command, input="\n".join(words) + "\n", capture_output=True, encoding="utf-8", check=True)
    stems = done.stdout.split("\n")[: len(words)]
    assert len(words) > 60_000
    assert [(word, said) for word, said in zip(words, stems, strict=True) if stem(word) != said.strip()] == []
