"""The two checkpoints' architectures, the tokenizer, and the image processor's settings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import CLIPConfig, CLIPModel

from benchmarks.pretraining import captions as c

PAD, UNK, BOS, EOS = "<|pad|>", "<|unk|>", "<|startoftext|>", "<|endoftext|>"
SPECIAL = [PAD, UNK, BOS, EOS]  # the end's id is 3: with 2, transformers would fall back to its legacy pooling
EOS_ID = 3
CONTEXT = 24
MEAN = STD = 0.5


def random_facts(n: int, rng: np.random.Generator) -> np.ndarray:
    """Facts without images, to feed the grammar; [n, len(FIELDS)]. Never a held-out pair."""
    facts = np.full((n, len(c.FIELDS)), c.UNNAMED, dtype=np.int64)
    pairs = [(s, k) for s in range(len(c.SHAPES)) for k in range(c.N_SHAPE_COLOURS) if (s, k) not in c.HELD_OUT]
    for row in facts:
        row[c.KIND] = rng.integers(5)
        row[c.COLOUR], row[c.BACKGROUND] = rng.integers(11, size=2)
        row[c.HAND], row[c.SIZE], row[c.RELATION] = rng.integers(2), rng.integers(2), rng.integers(4)
        row[c.COUNT] = rng.integers(1, 6)
        row[c.LABEL] = rng.integers({c.DIGIT: 10, c.LETTER: 26, c.TEXTURE: len(c.TEXTURES)}.get(int(row[c.KIND]), 12))
        if row[c.KIND] == c.LETTER and c.LETTERS[row[c.LABEL]] in c.CASED:
            row[c.CASE] = rng.integers(2)
        if row[c.KIND] in (c.SHAPE, c.PAIR):
            row[c.LABEL], row[c.COLOUR] = pairs[rng.integers(len(pairs))]
            row[c.LABEL2], row[c.COLOUR2] = pairs[rng.integers(len(pairs))]
    return facts


def train_tokenizer(seed: int, vocab_size: int = 800) -> Tokenizer:
    """A lower-case byte-level BPE trained on the grammar's captions; truncates at CONTEXT tokens."""
    rng = np.random.default_rng(seed)
    texts = [c.caption(fact, rng)[0] for fact in random_facts(60_000, rng)]
    tokenizer = Tokenizer(models.BPE(unk_token=UNK))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    ids = [(BOS, tokenizer.token_to_id(BOS)), (EOS, tokenizer.token_to_id(EOS))]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A {EOS}", special_tokens=ids)
    tokenizer.enable_truncation(CONTEXT)
    return tokenizer


def clip_config(vocab: int, size: int, patch: int, width: int, layers: int) -> CLIPConfig:
    """A CLIP of a million parameters or so; heads of 32 or 64."""
    heads = width // 32
    vision = {
        "image_size": size,
        "patch_size": patch,
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "projection_dim": 128,
    }
    text = {
        "vocab_size": vocab,
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": CONTEXT,
        "projection_dim": 128,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": EOS_ID,
    }
    return CLIPConfig(text_config=text, vision_config=vision, projection_dim=128, logit_scale_init_value=2.6592)


def normalise(images: torch.Tensor) -> torch.Tensor:
    """[N, 3, S, S] uint8 -> float32 as the image processor gives it."""
    return (images.float() / 255 - MEAN) / STD


def save_processor(folder: Path, tokenizer: Tokenizer, size: int, length: int = CONTEXT) -> None:
    """tokenizer.json, tokenizer_config.json and preprocessor_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": length,
        "pad_token": PAD,
        "unk_token": UNK,
        "bos_token": BOS,
        "eos_token": EOS,
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    processor = {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": size},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": size, "width": size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [MEAN] * 3,
        "image_std": [STD] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=2) + "\n")


def save_clip(folder: Path, model: CLIPModel, tokenizer: Tokenizer) -> None:
    """The whole checkpoint, fp16 weights."""
    half = CLIPModel(model.config)
    half.load_state_dict(model.state_dict())
    half.half().save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    save_processor(folder, tokenizer, model.config.vision_config.image_size)
