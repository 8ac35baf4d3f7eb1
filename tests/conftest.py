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
BACKBONE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
SHAPE = {**BACKBONE, "intermediate_size": 64}
VISION = {"image_size": 32, "patch_size": 8}
TEXT = {"vocab_size": END + 1, "max_position_embeddings": 16, "bos_token_id": START, "eos_token_id": END}


@pytest.fixture(autouse=True)
def _hub_switches(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``--offline`` switches off for the rest of a process is as it was before the next test."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
        value = os.environ.get(name)
        monkeypatch.setenv(name, value or "0")
        if value is None:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the directory of a random checkpoint: ``checkpoints("clip")``; made when first asked for."""
    root = tmp_path_factory.mktemp("checkpoints")

    def get(name: str) -> Path:
        directory = root / f"random-{name}"
        if not directory.is_dir():
            directory.mkdir()
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
    if kind in {"CLIPImageProcessor", "ChineseCLIPImageProcessor", "EfficientNetImageProcessor"}:
        facts |= {"do_center_crop": True, "crop_size": {"height": size, "width": size}}
    (directory / "preprocessor_config.json").write_text(json.dumps(facts))


def _clip(directory: Path) -> None:
    import torch
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={**SHAPE, **TEXT, "pad_token_id": END},
        vision_config={**SHAPE, **VISION},
        projection_dim=24,
    )
    _save(CLIPModel(config), directory)
    _tokenizer(directory)
    _images(directory, "CLIPImageProcessor", 32)


def _siglip(directory: Path) -> None:
    import torch
    from transformers import SiglipConfig, SiglipModel

    torch.manual_seed(1)
    config = SiglipConfig(
        text_config={**SHAPE, **TEXT, "pad_token_id": PAD},
        vision_config={**SHAPE, **VISION},
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


def _metaclip2(directory: Path) -> None:
    import torch
    from transformers import MetaClip2Config, MetaClip2Model

    torch.manual_seed(4)
    config = MetaClip2Config(
        text_config={**SHAPE, **TEXT, "pad_token_id": PAD}, vision_config={**SHAPE, **VISION}, projection_dim=24
    )
    _save(MetaClip2Model(config), directory)
    _tokenizer(directory, pad="<pad>")
    _images(directory, "CLIPImageProcessor", 32)


def _altclip(directory: Path) -> None:
    import torch
    from transformers import AltCLIPConfig, AltCLIPModel

    torch.manual_seed(5)
    text = {**SHAPE, **TEXT, "max_position_embeddings": 16 + PAD + 1, "pad_token_id": PAD, "project_dim": 24}
    config = AltCLIPConfig(text_config=text, vision_config={**SHAPE, **VISION}, projection_dim=24)
    _save(AltCLIPModel(config), directory)
    _tokenizer(directory, pad="<pad>")
    _images(directory, "CLIPImageProcessor", 32)


def _chinese_clip(directory: Path) -> None:
    import torch
    from transformers import ChineseCLIPConfig, ChineseCLIPModel

    torch.manual_seed(6)
    config = ChineseCLIPConfig(
        text_config={**SHAPE, **TEXT, "pad_token_id": PAD}, vision_config={**SHAPE, **VISION}, projection_dim=24
    )
    _save(ChineseCLIPModel(config), directory)
    _tokenizer(directory, pad="<pad>")
    _images(directory, "ChineseCLIPImageProcessor", 32)


def _align(directory: Path) -> None:
    import torch
    from transformers import AlignConfig, AlignModel

    torch.manual_seed(7)
    vision = {
        "image_size": 32,
        "width_coefficient": 1.0,
        "depth_coefficient": 0.25,
        "kernel_sizes": [3, 5],
        "in_channels": [32, 16],
        "out_channels": [16, 24],
        "depthwise_padding": [],
        "strides": [1, 2],
        "num_block_repeats": [1, 1],
        "expand_ratios": [1, 2],
        "hidden_dim": 24,
    }
    config = AlignConfig(text_config={**SHAPE, **TEXT, "pad_token_id": PAD}, vision_config=vision, projection_dim=24)
    model = AlignModel(config)
    torch.nn.init.constant_(model.temperature, 0.1)
    _save(model, directory)
    _tokenizer(directory, pad="<pad>")
    _images(directory, "EfficientNetImageProcessor", 32)


def _blip(directory: Path) -> None:
    import torch
    from transformers import BlipConfig, BlipForImageTextRetrieval

    torch.manual_seed(8)
    config = BlipConfig(
        text_config={**SHAPE, **TEXT, "pad_token_id": PAD, "encoder_hidden_size": 32},
        vision_config={**SHAPE, **VISION},
        image_text_hidden_size=24,
    )
    _save(BlipForImageTextRetrieval(config), directory)
    _tokenizer(directory, pad="<pad>")
    _images(directory, "BlipImageProcessor", 32)


def _bert(directory: Path) -> None:
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(12)
    _save(BertModel(BertConfig(**{**SHAPE, **TEXT, "pad_token_id": PAD})), directory)
    _tokenizer(directory, pad="<pad>")


def _dinov2(directory: Path) -> None:
    import torch
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(9)
    _save(Dinov2Model(Dinov2Config(**BACKBONE, patch_size=8, image_size=32)), directory)
    _images(directory, "BitImageProcessor", 32)


def _convnext(directory: Path) -> None:
    import torch
    from transformers import ConvNextConfig, ConvNextForImageClassification

    torch.manual_seed(10)
    config = ConvNextConfig(hidden_sizes=[8, 16, 16, 24], depths=[1, 1, 1, 1], num_labels=3)
    _save(ConvNextForImageClassification(config), directory)
    _images(directory, "ViTImageProcessor", 32)


def _swin(directory: Path) -> None:
    import torch
    from transformers import SwinConfig, SwinModel

    torch.manual_seed(11)
    config = SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4)
    _save(SwinModel(config), directory)
    _images(directory, "ViTImageProcessor", 32)


_MAKERS = {
    "clip": _clip,
    "siglip": _siglip,
    "metaclip2": _metaclip2,
    "altclip": _altclip,
    "chinese-clip": _chinese_clip,
    "align": _align,
    "blip": _blip,
    "bert": _bert,
    "resnet": _resnet,
    "vit": _vit,
    "dinov2": _dinov2,
    "convnext": _convnext,
    "swin": _swin,
}
