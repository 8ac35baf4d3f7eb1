import csv
from pathlib import Path

import pytest

from vlmbench.encoders.activation import activation_warning

FACTS = Path(__file__).parents[3] / "shared" / "facts" / "models.csv"
QUICK, GELU = "quick_gelu", "gelu"


def config(text, vision, family="clip"):
    return {"model_type": family, "text_config": {"hidden_act": text}, "vision_config": {"hidden_act": vision}}


def suspected(id, family="clip"):
    """The activations that are doubted in a model of this name."""
    return {act for act in (QUICK, GELU) if activation_warning(id, config(act, act, family)) is not None}


@pytest.mark.parametrize(
    ("id", "wrong"),
    [
        ("openai/clip-vit-base-patch32", {GELU}),
        ("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", {QUICK}),
        ("laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K", {QUICK}),
        ("facebook/metaclip-b32-400m", {GELU}),
        ("facebook/metaclip-h14-fullcc2.5b", {GELU}),
        ("apple/DFN5B-CLIP-ViT-H-14", {GELU}),
        ("apple/DFN2B-CLIP-ViT-L-14-39B", set()),
        ("me/ViT-B-32-quickgelu", {GELU}),
        ("me/mine", set()),
        ("./openai/mine", set()),
    ],
)
def test_what_a_model_was_trained_with_is_known_by_its_name(id, wrong):
    assert suspected(id) == wrong
    assert activation_warning(id, config(GELU, QUICK)) is not None


@pytest.mark.parametrize(
    ("id", "wrong"),
    [
        ("facebook/metaclip-2-worldwide-huge-quickgelu", {GELU}),
        ("facebook/metaclip-2-worldwide-huge-378", set()),
        ("facebook/metaclip-2-mt5-worldwide-b32", set()),
    ],
)
def test_metaclip_2_says_quickgelu_in_its_names(id, wrong):
    assert suspected(id, "metaclip_2") == wrong


@pytest.mark.skipif(not FACTS.is_file(), reason="the shared facts are not here")
def test_the_models_of_the_facts():
    with open(FACTS, encoding="utf-8", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["kind"] == "dual_encoder" and row["hub_id"]]
    quick = {row["hub_id"] for row in rows if "quickgelu" in row["open_clip_model"]}
    seen = set()
    for row in rows:
        id, owner = row["hub_id"], row["hub_id"].split("/")[0]
        if owner == "openai" or (owner in {"apple", "facebook"} and id in quick):
            expected = {GELU}
        elif owner == "laion":
            assert id not in quick
            expected = {QUICK}
        else:
            expected = {GELU} if "quickgelu" in id else set()
        assert suspected(id) == expected, id
        seen.add((owner, frozenset(expected)))
    assert {("openai", frozenset({GELU})), ("apple", frozenset({GELU})), ("laion", frozenset({QUICK}))} <= seen


def test_an_activation_left_out_is_the_default():
    assert activation_warning("openai/x", {"model_type": "clip"}) is None
    assert activation_warning("laion/x", {"model_type": "clip"}) is not None


def test_other_families_are_left_alone():
    assert activation_warning("openai/x", config("gelu", "quick_gelu", "chinese_clip")) is None
