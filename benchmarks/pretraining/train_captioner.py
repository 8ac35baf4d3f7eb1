"""Trains tiny-captioner: tiny-clip's image tower and a small GPT-2 decoder that attends to its patches.

    python -m benchmarks.pretraining.train_captioner --cache CACHE --clip MODEL_FOLDER --out RUN --minutes 15

Images are rendered as they are needed; captions come from the taught half of `scenes.py`, never with a held-out pair of
colour and shape.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from transformers import (
    CLIPModel,
    CLIPVisionModel,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    VisionEncoderDecoderModel,
)

from benchmarks.pretraining.compose import Renderer
from benchmarks.pretraining.model import EOS_ID, normalise, save_processor, train_tokenizer
from benchmarks.pretraining.muon import Muon
from benchmarks.pretraining.scenes import taught

BOS_ID = 2
LENGTH = 32  # most tokens of a caption


class Scenes(IterableDataset[tuple[Tensor, Tensor]]):
    """Endless batches: pixels [n, 3, S, S] uint8, token ids [n, length] with start and end, padded with 0."""

    def __init__(
        self, cache: Path, tokenizer: Tokenizer, size: int, batch: int, seed: int, held_out: bool = False
    ) -> None:
        self.args = cache, tokenizer.to_str(), size, batch, seed, held_out

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        torch.set_num_threads(1)
        cache, spec, size, batch, seed, held_out = self.args
        tokenizer = Tokenizer.from_str(spec)
        tokenizer.enable_padding(pad_id=0, pad_token="<|pad|>")  # noqa: S106
        renderer, rng = Renderer(cache, seed, size, held_out), np.random.default_rng(seed + 1)
        while True:
            full, facts = renderer.scene_canvases(batch)
            texts = [taught(fact, rng) for fact in facts]
            yield renderer.resize(full), torch.tensor([e.ids for e in tokenizer.encode_batch(texts)])


def build_model(clip: CLIPModel, layers: int) -> VisionEncoderDecoderModel:
    """The encoder starts from `clip`'s image tower, the decoder from noise."""
    width = clip.config.vision_config.hidden_size
    encoder = CLIPVisionModel(clip.config.vision_config)
    state = clip.vision_model.state_dict()
    wanted = encoder.state_dict()
    prefix = "vision_model." if next(iter(wanted)).startswith("vision_model.") else ""
    encoder.load_state_dict({prefix + name: value for name, value in state.items()})
    decoder = GPT2Config(
        vocab_size=clip.config.text_config.vocab_size,
        n_positions=LENGTH,
        n_embd=width,
        n_layer=layers,
        n_head=width // 32,
        add_cross_attention=True,
        is_decoder=True,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=0,
    )
    model = VisionEncoderDecoderModel(encoder=encoder, decoder=GPT2LMHeadModel(decoder))
    model.config.decoder_start_token_id, model.config.pad_token_id = BOS_ID, 0
    model.config.bos_token_id, model.config.eos_token_id = BOS_ID, EOS_ID
    model.generation_config = GenerationConfig(
        decoder_start_token_id=BOS_ID,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=0,
        max_length=LENGTH,
        num_beams=1,
        do_sample=False,
    )
    return model


def caption_loss(model: VisionEncoderDecoderModel, pixels: Tensor, ids: Tensor) -> Tensor:
    """Mean cross-entropy of the next token."""
    states = model.encoder(pixel_values=normalise(pixels)).last_hidden_state
    logits = model.decoder(input_ids=ids[:, :-1], encoder_hidden_states=states).logits
    return F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten(), ignore_index=0)


def save(folder: Path, model: VisionEncoderDecoderModel, tokenizer: Tokenizer) -> None:
    """fp16 weights, generation settings, tokenizer, processor."""
    folder.mkdir(parents=True, exist_ok=True)
    copy.deepcopy(model).half().save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    save_processor(folder, tokenizer, model.config.encoder.image_size, LENGTH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--decay", type=float, default=0.5)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--muon-lr", type=float, default=0.008)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    clip = CLIPModel.from_pretrained(args.clip, dtype=torch.float32, attn_implementation="eager")
    tokenizer = train_tokenizer(0)
    tokenizer.enable_truncation(LENGTH)
    model = build_model(clip, args.layers)
    model.set_attn_implementation("eager")
    hidden = [p for name, p in model.named_parameters() if p.ndim == 2 and (".layers." in name or ".h." in name)]
    ids = {id(p) for p in hidden}
    adam = torch.optim.AdamW(
        [p for p in model.parameters() if id(p) not in ids], lr=args.lr, betas=(0.9, 0.98), weight_decay=0.02
    )
    opts: list[torch.optim.Optimizer] = [Muon(hidden, lr=args.muon_lr, weight_decay=0.02), adam]
    size = clip.config.vision_config.image_size
    loader = iter(
        DataLoader(
            Scenes(args.cache, tokenizer, size, args.batch, args.seed + 500),
            batch_size=None,
            num_workers=1,
            prefetch_factor=4,
        )
    )
    check = next(iter(Scenes(args.cache, tokenizer, size, 400, 95_001, held_out=True)))
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)

    begun, step, total, done = time.monotonic(), 0, 0.0, False
    while not done:
        progress = (time.monotonic() - begun) / 60 / args.minutes
        done = progress >= 1
        rate = min(1.0, (step + 1) / 100) * min(1.0, max(0.0, (1 - progress) / args.decay))
        for opt in opts:
            for group in opt.param_groups:
                group["lr"] = group.setdefault("peak", group["lr"]) * rate
        pixels, tokens = next(loader)
        with torch.autocast("cpu", torch.bfloat16):
            loss = caption_loss(model, pixels, tokens)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad()
        step, total = step + 1, total + loss.item()
        if done or step % 200 == 0:
            with torch.no_grad():
                held = caption_loss(model, *check).item()
            minutes = (time.monotonic() - begun) / 60
            record = {
                "step": step,
                "images": step * args.batch,
                "minutes": round(minutes, 2),
                "loss": round(total / (step % 200 or 200), 4),
                "rendered_val_loss": round(held, 4),
            }
            print(json.dumps(record), flush=True)
            total = 0.0
            save(args.out / "model", model, tokenizer)


if __name__ == "__main__":
    main()
