"""Small random checkpoints of every architecture that encoders know, saved as the hub's repositories are."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

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


def _tokenizer(directory: Path, *, pad: str = "<|endoftext|>", length: int = 16, **more: Any) -> None:
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
        **more,
    ).save_pretrained(directory)


def _images(directory: Path, kind: str, size: int, **more: Any) -> None:
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
    if kind.removesuffix("ImageProcessor") in {"CLIP", "ChineseCLIP", "EfficientNet", "Bit", "DeiT"}:
        facts |= {"do_center_crop": True, "crop_size": {"height": size, "width": size}}
    if "shortest_edge" not in facts["size"] and kind == "ConvNextImageProcessor":
        facts |= {"size": {"shortest_edge": size}, "crop_pct": 0.875}
    if more:
        del facts["size"]
    (directory / "preprocessor_config.json").write_text(json.dumps({**facts, **more}))


def _clip(directory: Path, *, activation: str = "quick_gelu") -> None:
    import torch
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={**SHAPE, **TEXT, "pad_token_id": END, "hidden_act": activation},
        vision_config={**SHAPE, **VISION, "hidden_act": activation},
        projection_dim=24,
    )
    _save(CLIPModel(config), directory)
    _tokenizer(directory)
    _images(directory, "CLIPImageProcessor", 32)


def _siglip(directory: Path, *, length: int = 16) -> None:
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
    _tokenizer(directory, pad="<pad>", length=length, model_input_names=["input_ids"])
    _images(directory, "SiglipImageProcessor", 32)


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


def _naflex(directory: Path) -> None:
    import torch
    from transformers import Siglip2Config, Siglip2Model

    torch.manual_seed(13)
    config = Siglip2Config(
        text_config={**SHAPE, **TEXT, "pad_token_id": PAD},
        vision_config={**SHAPE, "patch_size": 8, "num_patches": 16},
    )
    model = Siglip2Model(config)
    torch.nn.init.constant_(model.logit_scale, 2.0)
    torch.nn.init.constant_(model.logit_bias, -4.0)
    _save(model, directory)
    _tokenizer(directory, pad="<pad>", length=10**30, model_input_names=["input_ids"])
    _images(directory, "Siglip2ImageProcessor", 32, patch_size=8, max_num_patches=20)


def _coupled(directory: Path) -> None:
    import torch
    from transformers import (
        BertConfig,
        BertModel,
        VisionTextDualEncoderConfig,
        VisionTextDualEncoderModel,
        ViTConfig,
        ViTModel,
    )

    torch.manual_seed(14)
    text = BertModel(BertConfig(**{**SHAPE, **TEXT, "pad_token_id": PAD}))
    vision = ViTModel(ViTConfig(**SHAPE, **VISION))
    config = VisionTextDualEncoderConfig.from_vision_text_configs(vision.config, text.config, projection_dim=24)
    _save(VisionTextDualEncoderModel(config, vision, text), directory)
    _tokenizer(directory, pad="<pad>")
    _images(directory, "ViTImageProcessor", 32)


def _backbone(
    config: str, model: str, processor: str = "ViTImageProcessor", /, **fields: Any
) -> Callable[[Path], None]:
    """A maker of a plain backbone from the names of its classes and the fields of its configuration."""

    def make(directory: Path) -> None:
        import torch
        import transformers

        torch.manual_seed(len(model))
        _save(getattr(transformers, model)(getattr(transformers, config)(**fields)), directory)
        patches = {"patch_size": 8, "max_num_patches": 20} if processor == "Siglip2ImageProcessor" else {}
        _images(directory, processor, 32, **patches)

    return make


_STAGES = {"hidden_sizes": [8, 16, 16, 24], "depths": [1, 1, 1, 1]}
_WINDOWS = {"image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4}

MAKERS: dict[str, Callable[[Path], None]] = {
    "clip": _clip,
    "clip-gelu": partial(_clip, activation="gelu"),
    "siglip": _siglip,
    "siglip2": partial(_siglip, length=10**30),
    "siglip2-naflex": _naflex,
    "metaclip2": _metaclip2,
    "altclip": _altclip,
    "chinese-clip": _chinese_clip,
    "align": _align,
    "blip": _blip,
    "vision-text": _coupled,
    "bert": _bert,
    "resnet": _backbone("ResNetConfig", "ResNetModel", **_STAGES, embedding_size=8, layer_type="bottleneck"),
    "vit": _backbone("ViTConfig", "ViTForImageClassification", **SHAPE, **VISION, num_labels=3),
    "dinov2": _backbone("Dinov2Config", "Dinov2Model", "BitImageProcessor", **BACKBONE, **VISION),
    "convnext": _backbone("ConvNextConfig", "ConvNextForImageClassification", **_STAGES, num_labels=3),
    "swin": _backbone("SwinConfig", "SwinModel", **_WINDOWS),
    "dinov2-registers": _backbone(
        "Dinov2WithRegistersConfig", "Dinov2WithRegistersModel", "BitImageProcessor", **BACKBONE, **VISION
    ),
    "dinov3": _backbone(
        "DINOv3ViTConfig", "DINOv3ViTModel", "DINOv3ViTImageProcessorFast", **SHAPE, **VISION, num_register_tokens=2
    ),
    "dinov3-convnext": _backbone(
        "DINOv3ConvNextConfig", "DINOv3ConvNextModel", "DINOv3ViTImageProcessorFast", **_STAGES
    ),
    "deit": _backbone("DeiTConfig", "DeiTModel", "DeiTImageProcessor", **SHAPE, **VISION),
    "convnextv2": _backbone("ConvNextV2Config", "ConvNextV2Model", "ConvNextImageProcessor", **_STAGES),
    "swinv2": _backbone("Swinv2Config", "Swinv2Model", **_WINDOWS),
    "regnet": _backbone(
        "RegNetConfig", "RegNetModel", "ConvNextImageProcessor", embedding_size=8, groups_width=8, **_STAGES
    ),
    "clip-vision": _backbone("CLIPVisionConfig", "CLIPVisionModel", "CLIPImageProcessor", **SHAPE, **VISION),
    "siglip-vision": _backbone("SiglipVisionConfig", "SiglipVisionModel", "SiglipImageProcessor", **SHAPE, **VISION),
    "siglip2-vision": _backbone(
        "Siglip2VisionConfig", "Siglip2VisionModel", "Siglip2ImageProcessor", **SHAPE, patch_size=8, num_patches=16
    ),
}
