"""Contrastive pre-training of tiny-clip on rendered images.

    python -m benchmarks.pretraining.train_clip --cache CACHE --out RUN --minutes 60

The schedule is warm-up, plateau, decay on the clock (or on `--steps`), so that a run ends where it must; it is
checkpointed and resumes. Choices are judged on rendered images of held-out fonts and hands, and on nothing else.
"""

from __future__ import annotations

import argparse
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
from transformers import CLIPModel

from benchmarks.pretraining import captions as c
from benchmarks.pretraining.compose import Renderer
from benchmarks.pretraining.evaluate import rendered_validation, zero_shot_suite
from benchmarks.pretraining.model import clip_config, normalise, save_clip, train_tokenizer
from benchmarks.pretraining.muon import Muon


class Batches(IterableDataset[tuple[Tensor, ...]]):
    """Endless batches: pixels uint8, token ids [n, length], truth [n, n] bool, unclear [n, n] bool."""

    def __init__(self, cache: Path, tokenizer: Tokenizer, size: int, batch: int, seed: int) -> None:
        self.args = cache, tokenizer.to_str(), size, batch, seed

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        torch.set_num_threads(1)
        cache, spec, size, batch, seed = self.args
        tokenizer = Tokenizer.from_str(spec)
        tokenizer.enable_padding(pad_id=0, pad_token="<|pad|>")  # noqa: S106
        renderer, rng = Renderer(cache, seed, size), np.random.default_rng(seed + 1)
        while True:
            images, facts = renderer.batch(batch)
            said = [c.caption(fact, rng) for fact in facts]
            true, unclear = c.truth_table(facts, np.stack([claim for _, claim in said]))
            ids = torch.tensor([e.ids for e in tokenizer.encode_batch([text for text, _ in said])])
            yield images, ids, torch.from_numpy(true), torch.from_numpy(unclear)


def contrastive_loss(logits: Tensor, true: Tensor, unclear: Tensor) -> Tensor:
    """InfoNCE in which every true caption is a positive, set against the false ones only; logits, true, unclear [N, N].

    For a positive (i, j): log(1 + sum over false k of exp(l_ik - l_ij)). Positives of one row do not compete with each
    other.
    """

    def one_way(rows: Tensor, positive: Tensor, ignored: Tensor) -> Tensor:
        negative = rows.masked_fill(positive | ignored, float("-inf")).logsumexp(1, keepdim=True)
        each = F.softplus(negative - rows) * positive
        weight = positive.float() + 2.0 * torch.eye(
            len(rows), device=rows.device
        )  # an image's own caption counts threefold
        return ((each * weight).sum(1) / (weight * positive).sum(1)).mean()

    return 0.5 * (one_way(logits, true, unclear) + one_way(logits.T, true.T, unclear.T))


def forward(model: CLIPModel, pixels: Tensor, ids: Tensor, true: Tensor, unclear: Tensor, amp: bool) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=amp):
        image = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
        text = model.text_projection(model.text_model(input_ids=ids).pooler_output)
    image, text = F.normalize(image.float(), dim=1), F.normalize(text.float(), dim=1)
    return contrastive_loss(model.logit_scale.exp() * image @ text.T, true, unclear)


def optimizers(model: CLIPModel, lr: float, muon_lr: float) -> list[torch.optim.Optimizer]:
    """Muon on the hidden matrices, AdamW on embeddings, projections, gains and biases."""
    hidden = [p for n, p in model.named_parameters() if ".layers." in n and p.ndim == 2]
    ids = {id(p) for p in hidden}
    rest = [p for p in model.parameters() if id(p) not in ids and p is not model.logit_scale]
    adam = torch.optim.AdamW(
        [{"params": rest}, {"params": [model.logit_scale], "weight_decay": 0.0}],
        lr=lr,
        betas=(0.9, 0.98),
        weight_decay=0.02,
    )
    return [Muon(hidden, lr=muon_lr, weight_decay=0.02), adam]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--steps", type=int, default=0, help="end after so many steps instead of by the clock")
    parser.add_argument(
        "--decay", type=float, default=0.35, help="share of the run over which the rate falls to nothing"
    )
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--size", type=int, default=24)
    parser.add_argument("--patch", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--muon-lr", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fp32", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--save-every", type=float, default=4.0, help="minutes")
    parser.add_argument("--init", type=Path, help="a state.pt whose EMA weights to begin from")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(args.seed)
    config = clip_config(tokenizer.get_vocab_size(), args.size, args.patch, args.width, args.layers)
    config._attn_implementation = "eager"  # twice as fast as SDPA's backward pass on a CPU in bf16
    model = CLIPModel(config)
    ema = CLIPModel(model.config).eval().requires_grad_(False)
    if args.init:
        model.load_state_dict(torch.load(args.init, weights_only=True)["ema"])
    ema.load_state_dict(model.state_dict())
    opts = optimizers(model, args.lr, args.muon_lr)
    step, spent = 0, 0.0
    state_file = args.out / "state.pt"
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        ema.load_state_dict(state["ema"])
        for opt, kept in zip(opts, state["opts"], strict=True):
            opt.load_state_dict(kept)
        step, spent = state["step"], state["spent"]
    validation = rendered_validation(args.cache, args.size)
    run = torch.compile(forward) if args.compile else forward
    loader = iter(
        DataLoader(
            Batches(args.cache, tokenizer, args.size, args.batch, args.seed + 17 * step),
            batch_size=None,
            num_workers=1,
            prefetch_factor=4,
        )
    )
    log = (args.out / "log.jsonl").open("a")
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, from step {step}", flush=True)

    begun, saved, total = time.monotonic() - spent, time.monotonic(), 0.0
    done = False
    while not done:
        spent = time.monotonic() - begun
        progress = step / args.steps if args.steps else spent / 60 / args.minutes
        done = progress >= 1
        rate = min(1.0, (step + 1) / 150) * min(1.0, max(0.0, (1 - progress) / args.decay))
        for opt in opts:
            for group in opt.param_groups:
                group["lr"] = group.setdefault("peak", group["lr"]) * rate
        images, ids, true, unclear = next(loader)
        loss = run(model, normalise(images), ids, true, unclear, not args.fp32)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad()
        with torch.no_grad():
            model.logit_scale.clamp_(0, 4.6052)
            keep = min(0.999, step / (step + 20))
            for mine, theirs in zip(ema.parameters(), model.parameters(), strict=True):
                mine.lerp_(theirs, 1 - keep)
        step, total = step + 1, total + loss.item()
        if step % 50 == 0:
            speed = step * args.batch / (time.monotonic() - begun)
            print(
                f"{step} loss {total / 50:.4f} scale {model.logit_scale.exp().item():.1f} rate {rate:.3f} "
                f"{spent / 60:.1f} min {speed:.0f} images/s",
                flush=True,
            )
            total = 0.0
        if done or time.monotonic() - saved > 60 * args.save_every:
            saved = time.monotonic()
            state = {
                "model": model.state_dict(),
                "ema": ema.state_dict(),
                "opts": [o.state_dict() for o in opts],
                "step": step,
                "spent": saved - begun,
            }
            torch.save(state, state_file.with_suffix(".tmp"))
            state_file.with_suffix(".tmp").replace(state_file)
            save_clip(args.out / "model", ema, tokenizer)
            figures = zero_shot_suite(ema, tokenizer, validation)
            record = {"step": step, "images": step * args.batch, "minutes": round((saved - begun) / 60, 2), **figures}
            print(json.dumps(record), flush=True)
            log.write(json.dumps(record) + "\n")
            log.flush()


if __name__ == "__main__":
    main()
