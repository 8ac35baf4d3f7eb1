"""Small random checkpoints of real architectures, and small folders of images, made once a session."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

COLOURS = {"red": (200, 30, 30), "green": (30, 180, 40), "blue": (30, 40, 200)}
WORDS = [
    "a",
    "photo",
    "of",
    "red",
    "green",
    "blue",
    "circle",
    "square",
    "the",
    "an",
    "image",
    "with",
    "dog",
    "cat",
    "many",
]
PAD = 1
START = len(WORDS) + 3
END = START + 1
TEXT = {"vocab_size": END + 1, "max_position_embeddings": 16, "bos_token_id": START, "eos_token_id": END}


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the directory of a random checkpoint: ``checkpoints("clip")``; made when first asked for."""
    root = tmp_path_factory.mktemp("checkpoints")

    def get(name: str) -> Path:
        directory = root / f"random-{name}"
        if not directory.is_dir():
            _MAKERS[name](directory)
        return directory

    return get


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder ``{train,test}/<colour>/*.png``: three classes, 8 training and 5 test images each."""
    root = tmp_path_factory.mktemp("colours")
    for split, count in (("train", 8), ("test", 5)):
        make_images(root / split, count, seed=len(split))
    return root


def make_images(root: Path, count: int, *, seed: int = 0, size: tuple[int, int] = (40, 32)) -> None:
    """Noisy images of each colour, ``root/<colour>/<n>.png``."""
    generator = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            noise = generator.integers(-60, 60, (size[1], size[0], 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")


def _tokenizer(directory: Path, *, pad: str = "<|endoftext|>", length: int = 16) -> None:
    """A word-level tokenizer with CLIP's start and end tokens."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokens = ["<unk>", "<pad>", *WORDS, ".", "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: index for index, word in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>", special_tokens=[("<|startoftext|>", START), ("<|endoftext|>", END)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|startoftext|>",
        eos_token="<|endoftext|>",
        unk_token="<unk>",
        pad_token=pad,
        model_max_length=length,
    ).save_pretrained(directory)


def _images(directory: Path, kind: str, size: int) -> None:
    """``preprocessor_config.json``, as the hub's repositories have it."""
    facts = {
        "image_processor_type": kind,
        "do_resize": True,
        "size": {"shortest_edge": size} if kind == "CLIPImageProcessor" else {"height": size, "width": size},
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.48, 0.46, 0.41],
        "image_std": [0.27, 0.26, 0.28],
    }
    if kind == "CLIPImageProcessor":
        facts |= {"do_center_crop": True, "crop_size": {"height": size, "width": size}, "do_convert_rgb": True}
    (directory / "preprocessor_config.json").write_text(json.dumps(facts))


def _clip(directory: Path) -> None:
    import torch
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = CLIPConfig(
        text_config={**shape, **TEXT, "pad_token_id": END},
        vision_config={**shape, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    _save(CLIPModel(config), directory)
    _tokenizer(directory)
    _images(directory, "CLIPImageProcessor", 32)


def _siglip(directory: Path) -> None:
    import torch
    from transformers import SiglipConfig, SiglipModel

    torch.manual_seed(1)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = SiglipConfig(
        text_config={**shape, **TEXT, "pad_token_id": PAD},
        vision_config={**shape, "image_size": 32, "patch_size": 8},
    )
    model = SiglipModel(config)
    torch.nn.init.constant_(model.logit_scale, 2.0)
    torch.nn.init.constant_(model.logit_bias, -4.0)
    _save(model, directory)
    _tokenizer(directory, pad="<pad>")
    _images(directory, "SiglipImageProcessor", 32)


def _resnet(directory: Path) -> None:
    import torch
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(2)
    _save(
        ResNetModel(
            ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="bottleneck")
        ),
        directory,
    )
    _images(directory, "ViTImageProcessor", 32)


def _vit(directory: Path) -> None:
    import torch
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(3)
    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        image_size=32,
        patch_size=8,
        num_labels=3,
    )
    _save(ViTForImageClassification(config), directory)
    _images(directory, "ViTImageProcessor", 32)


def _save(model, directory: Path) -> None:  # type: ignore[no-untyped-def]
    """Saves with every parameter moved, so that no two classes or images come out alike."""
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
            elif "logit" not in name:
                parameter.add_(torch.randn_like(parameter) * 0.02)
    model.eval().save_pretrained(directory)


_MAKERS = {"clip": _clip, "siglip": _siglip, "resnet": _resnet, "vit": _vit}
