"""METEOR against the live jar: on captions of one's own, and on the published systems where they are at hand."""

import importlib.util
import json
import random
from pathlib import Path

import numpy as np
import pytest

from vlmbench.metrics.captions.meteor import score as meteor
from vlmbench.metrics.captions.meteor.score import meteor_score, meteor_statistics, summable

_spec = importlib.util.spec_from_file_location("meteor_oracle", Path(__file__).with_name("meteor_oracle.py"))
_oracle = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_oracle)

GOLDEN = json.loads(Path(__file__).with_name("data").joinpath("meteor_golden.json").read_text(encoding="utf-8"))
WORDS = [word for image in GOLDEN["images"] for line in image["references"] for word in line.split()]
PUBLISHED = Path(__file__).parents[4] / "shared" / "data" / "captions"
SYSTEMS = {
    "coco_karpathy_test_magic": "coco_karpathy_test_references",
    "coco_karpathy_test_top_k": "coco_karpathy_test_references",
    "coco_karpathy_test_nucleus": "coco_karpathy_test_references",
    "coco_val2017_nearest_neighbour": "coco_val2017_references",
}


@pytest.fixture(scope="module")
def index(pytestconfig):
    return meteor.load_index(Path(pytestconfig.cache.mkdir("meteor")))


def hold_to_the_jar(candidates, references, index):
    statistics, scores, corpus = _oracle.ask(candidates, references)
    ours, our_scores = meteor_statistics(
        [line.split() for line in candidates], [[line.split() for line in lines] for lines in references], index
    )
    np.testing.assert_array_equal(ours, summable(np.array(statistics, dtype=np.float64)))
    np.testing.assert_allclose(our_scores, scores, rtol=0, atol=1e-12)
    assert meteor_score(ours.sum(0)) == pytest.approx(corpus, abs=1e-12)


def test_captions_drawn_at_random(index):
    _oracle.require_java()
    draw = random.Random(11)
    sizes = [draw.choice([1, 2, 5, 9, 14, 40]) for _ in range(150)]
    candidates = [" ".join(draw.choices(WORDS, k=size)) for size in sizes]
    references = [[" ".join(draw.choices(WORDS, k=size)) for _ in range(draw.randint(1, 5))] for size in sizes]
    hold_to_the_jar(candidates, references, index)


@pytest.mark.parametrize("system", SYSTEMS)
def test_published_systems(system, index):
    _oracle.require_java()
    if not PUBLISHED.is_dir():
        pytest.skip("the published captions are not on this machine")
    references: dict[int, list[str]] = {}
    for note in json.loads((PUBLISHED / f"{SYSTEMS[system]}.json").read_text(encoding="utf-8"))["annotations"]:
        references.setdefault(note["image_id"], []).append(_words(note["caption"]))
    captions = json.loads((PUBLISHED / f"{system}.json").read_text(encoding="utf-8"))
    chosen = [note for note in captions if note["image_id"] in references][::5]
    hold_to_the_jar(
        [_words(note["caption"]) for note in chosen], [references[note["image_id"]] for note in chosen], index
    )


def _words(caption: str) -> str:
    """Rough tokens: what is compared here is METEOR alone."""
    return " ".join(caption.lower().replace(".", " ").replace(",", " ").split())
