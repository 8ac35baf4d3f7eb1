"""Zero-shot figures on rendered validation images, by which choices were made.

(UCI digits: `final_figures.py`, once, at the end.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor
from transformers import CLIPModel

from benchmarks.pretraining import captions as c
from benchmarks.pretraining.compose import Renderer
from benchmarks.pretraining.model import normalise

Suite = dict[str, tuple[Tensor, np.ndarray, list[list[str]]]]

DIGIT_PROMPTS = [
    "a photo of the number {}.",
    "the digit {}",
    'a photo of the number: "{}".',
    "a handwritten {}.",
    "a photo of a {}.",
]


def prompts(templates: list[str], names: list[str]) -> list[list[str]]:
    """[class][template]"""
    return [[t.format(name) for t in templates] for name in names]


def rendered_validation(cache: Path, size: int, n: int = 1000) -> Suite:
    """Images [n, 3, size, size] uint8, labels [n] and prompts of each validation task.

    Fonts and hands: the held-out ones.
    """
    r = Renderer(cache, 90_001, size, held_out=True)
    digits = prompts(DIGIT_PROMPTS, c.DIGITS)
    suite: Suite = {}
    for route in ("bitmap", "canvas"):
        images, facts = r.glyph_images(2 * n, True, route)
        hand = facts[:, c.HAND] == 1
        suite[f"digits_{route}"] = images, facts[:, c.LABEL], digits
        suite[f"digits_{route}_fonts"] = images[~hand], facts[~hand, c.LABEL], digits
    images, facts = r.glyph_images(n, False)
    suite["letters"] = images, facts[:, c.LABEL], prompts(["a photo of the letter {}.", "the letter {}"], c.LETTERS)
    pairs = [(s, k) for s in range(len(c.SHAPES)) for k in range(c.N_SHAPE_COLOURS)]
    names = [f"{c.COLOURS[k]} {c.SHAPES[s]}" for s, k in pairs]
    images, facts = r.shape_images(n, False)
    labels = np.array([pairs.index((int(f[c.LABEL]), int(f[c.COLOUR]))) for f in facts])
    suite["shapes_96"] = images, labels, prompts(["a photo of a {}.", "a {}"], names)
    images, facts = r.shape_images(n, True)
    counts = [[f"a photo of {d} object{'s' * (d != 'one')}.", f"{d} shape{'s' * (d != 'one')}"] for d in c.DIGITS[1:6]]
    suite["counting"] = images, facts[:, c.COUNT] - 1, counts
    return suite


@torch.no_grad()
def image_features(model: CLIPModel, images: Tensor, batch: int = 500) -> Tensor:
    """[N, 3, S, S] uint8 -> [N, D] float32, unit norm."""
    parts = [
        model.visual_projection(model.vision_model(pixel_values=normalise(x)).pooler_output)
        for x in images.split(batch)
    ]
    return F.normalize(torch.cat(parts).float(), dim=1)


@torch.no_grad()
def class_weights(model: CLIPModel, tokenizer: Tokenizer, by_class: list[list[str]]) -> Tensor:
    """Normalised mean of the templates' normalised embeddings; [K, D]."""
    flat = [text for texts in by_class for text in texts]
    coder = Tokenizer.from_str(tokenizer.to_str())
    coder.enable_padding(pad_id=0, pad_token="<|pad|>")  # noqa: S106
    ids = torch.tensor([e.ids for e in coder.encode_batch(flat)])
    text = F.normalize(model.text_projection(model.text_model(input_ids=ids).pooler_output).float(), dim=1)
    return F.normalize(text.view(len(by_class), -1, text.shape[1]).mean(1), dim=1)


def zero_shot_suite(model: CLIPModel, tokenizer: Tokenizer, suite: Suite) -> dict[str, Any]:
    """Accuracy of each task, and of each digit where the task is digits of the UCI kind."""
    figures: dict[str, Any] = {}
    for name, (images, labels, by_class) in suite.items():
        predicted = (image_features(model, images) @ class_weights(model, tokenizer, by_class).T).argmax(1).numpy()
        figures[name] = round(float((predicted == labels).mean()), 4)
        if name == "digits_bitmap":
            figures["per_digit"] = [round(float((predicted[labels == d] == d).mean()), 3) for d in range(10)]
    return figures
