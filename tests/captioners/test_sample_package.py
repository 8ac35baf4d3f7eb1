"""A package of one file that adds a kind of captioner by an entry point: commands run it, vlmbench is not touched."""

import json
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parent / "sample_package"
CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"
HEAD = """
from vlmbench.captioners.base import Done
from vlmbench.captioners.names import CaptionerKind
from vlmbench.records.result import ModelFacts
class Made:
    system, decoding = "made", {}
    facts = ModelFacts(id="broken:x", weights_sha256="0" * 64, kind="broken")
    def stream(self, items):
        for item in items:
            yield [Done(item, "a caption")]
def using(**more):
    return CaptionerKind(**{"name": "broken", "open": lambda rest, setup: Made(), **more})
"""


def results(path: Path) -> dict[str, str]:
    (written,) = path.glob("captions/*.json")
    return {entry["image_id"]: entry["caption"] for entry in json.loads(written.read_text())}


def test_it_is_one_file_and_contributing_says_so():
    assert [path.name for path in SAMPLE.glob("**/*.py")] == ["sample_captioners.py"]
    text = CONTRIBUTING.read_text()
    for words in ("`vlmbench.captioners`", "`tests/captioners/sample_package`", "`shade = sample_captioners:KIND`"):
        assert words in text
    assert "shade = sample_captioners:KIND" in next(SAMPLE.glob("*/entry_points.txt")).read_text()


def test_it_captions(tmp_path, with_package):
    words = ("caption", "-m", "shade:100", "-d", "scenes", "--limit", 12, "-o", tmp_path, "--cache-dir", tmp_path)
    (first,) = json.loads(with_package(SAMPLE, *words, "--json"))["results"]
    assert (first["system"], first["model"], first["n"], first["made"]) == ("shade:100", "shade:100", 12, 12)
    assert set(results(tmp_path).values()) == {"a bright picture", "a dark picture"}, "on one line each"
    (again,) = json.loads(with_package(SAMPLE, *words, "--json"))["results"]
    assert again["made"] == 0, "captions are kept"


def test_its_captions_are_scored(tmp_path, with_package):
    words = ("-d", "scenes", "--limit", 8, "--metrics", "cider,rouge_l", "--resamples", 100, "-o", tmp_path)
    named = ("caption-eval", "--captioner", "shade:100", "--captioner", "shade:20", *words, "--cache-dir", tmp_path)
    found = json.loads(with_package(SAMPLE, *named, "--json"))["results"]
    assert [run["system"] for run in found] == ["shade:100", "shade:20"]
    record = json.loads((Path(found[0]["path"]) / "result.json").read_text())
    assert (record["model"]["kind"], record["protocol"]["threshold"]) == ("shade", 100)
    with_package(SAMPLE, "verify", tmp_path)
    with_package(tmp_path / "no package", "compare", tmp_path, "-o", tmp_path, "--no-report")


def test_its_name_is_looked_at_and_is_none_without_the_package(tmp_path, with_package):
    words = ("-d", "scenes", "-o", tmp_path, "--cache-dir", tmp_path)
    said = with_package(SAMPLE, "caption", "-m", "shade:bright", *words, code=2, stream="stderr")
    assert "not a captioner: shade:bright" in said
    said = with_package(tmp_path, "caption", "-m", "shade:100", *words, code=4, stream="stderr")
    assert "no such model: shade:100" in said
    said = with_package(SAMPLE, "caption", "-m", "shade:100", *words, "--concurrency", 2, code=2, stream="stderr")
    assert "--concurrency" in said


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("KIND = 1 / 0", "cannot be loaded: ZeroDivisionError"),
        ("KIND = 3", "is not a CaptionerKind"),
        ("KIND = using(name='other')", "is not a CaptionerKind of that name"),
        ("KIND = using(parse=lambda text: text[9])", "failed on broken:x: IndexError"),
        ("KIND = using(parse=len)", "makes broken:1 of broken:x"),
        ("KIND = using(open=lambda rest: Made())", "cannot open broken:x: TypeError"),
        ("KIND = using(open=lambda rest, setup: 'me')", "opens a str that is no Captioner"),
        ("Made.facts = Made.facts.model_copy(update={'kind': 'asif'}); KIND = using()", "whose facts.kind is asif"),
        ("Made.decoding = {'x': {1}}; KIND = using()", "cannot open broken:x: TypeError"),
        ("Made.stream = lambda self, items: iter([['x']]); KIND = using()", "returned 'x' instead of a Done"),
        ("Made.stream = lambda self, items: [[Done(i, 3)] for i in items]; KIND = using()", "instead of a Done"),
        ("Made.stream = lambda self, items: 1 / 0; KIND = using()", "failed: ZeroDivisionError"),
    ],
)
def test_a_package_s_mistake_is_one_error_that_names_it(code, words, tmp_path, with_package, broken_package):
    package = broken_package("[vlmbench.captioners]\nbroken = broken:KIND\n", HEAD + code)
    call = ("caption", "-m", "broken:x", "-d", "scenes", "--limit", 2, "-o", tmp_path, "--cache-dir", tmp_path)
    said = " ".join(with_package(package, *call, code=3, stream="stderr").split())
    assert words in said
    assert "(broken:KIND)" in said
    assert "update or uninstall that package" in said
    assert "Traceback" not in said


def test_images_that_it_gives_no_caption_of_are_named(tmp_path, with_package, broken_package):
    code = "Made.stream = lambda self, items: [[Done(i, 'a')] for i in list(items)[1:]]; KIND = using()"
    package = broken_package("[vlmbench.captioners]\nbroken = broken:KIND\n", HEAD + code)
    call = ("caption", "-m", "broken:x", "-d", "scenes", "--limit", 3, "-o", tmp_path, "--cache-dir", tmp_path)
    (found,) = json.loads(with_package(package, *call, "--json"))["results"]
    assert (found["n"], list(found["failed"].values())) == (2, ["the captioner returned no caption"])


def test_a_kind_that_is_there_already_is_refused(tmp_path, with_package, broken_package):
    package = broken_package("[vlmbench.captioners]\nretrieval = broken:KIND\n", HEAD + "KIND = using()")
    said = with_package(package, "caption", "-m", "retrieval:tiny-clip", "-d", "scenes", code=3, stream="stderr")
    assert "retrieval of broken (broken:KIND): vlmbench has a kind of captioner of this name" in " ".join(said.split())
