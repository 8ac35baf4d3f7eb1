import pytest

from vlmbench.encoders.activation import doubt


def config(text, vision, family="clip"):
    return {"model_type": family, "text_config": {"hidden_act": text}, "vision_config": {"hidden_act": vision}}


@pytest.mark.parametrize(
    ("id", "text", "vision", "suspect"),
    [
        ("openai/clip-vit-base-patch32", "quick_gelu", "quick_gelu", False),
        ("openai/clip-vit-base-patch32", "gelu", "gelu", True),
        ("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "gelu", "gelu", False),
        ("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "quick_gelu", "quick_gelu", True),
        ("me/ViT-B-32-quickgelu", "gelu", "gelu", True),
        ("me/mine", "gelu", "gelu", False),
        ("me/mine", "gelu", "quick_gelu", True),
    ],
)
def test_a_config_that_disagrees_with_its_family_is_told_of(id, text, vision, suspect):
    assert (doubt(id, config(text, vision)) is not None) is suspect


def test_an_activation_left_out_is_the_default():
    assert doubt("openai/x", {"model_type": "clip"}) is None
    assert doubt("laion/x", {"model_type": "clip"}) is not None


def test_other_families_are_left_alone():
    assert doubt("openai/x", config("gelu", "quick_gelu", "chinese_clip")) is None
