"""The head ``tip-adapter-f``: Tip-Adapter whose cached features are fine-tuned.

Zhang et al. 2022 (Tip-Adapter-F): the cached features of `vlmbench.heads.tip_adapter` are trained by AdamW with
learning rate 0.001 (cosine schedule, batches of 256, 20 epochs); labels and text stay as they are. While it trains,
alpha and beta are as given, else 1 and 5.5; after it they are chosen on validation images as for ``tip-adapter``, and
so is the epoch. Without validation images it is the last epoch.

Public code: gaopengcuhk/Tip-Adapter (no licence) takes the epoch with the best accuracy on the test set, on every
dataset, and reports the better of two figures there (``?choose=test`` takes epoch, alpha and beta by the test set); it
trains on random crops and with an alpha and beta that a file per dataset sets; epsilon of AdamW is 1e-4, as here.
"""

import math
from dataclasses import replace

import numpy as np

from vlmbench.heads.spec import HeadData, HeadSpec
from vlmbench.heads.tip_adapter import Cache, cache_of, choose, restore

BATCH = 256
BETAS, EPSILON, DECAY = (0.9, 0.999), 1e-4, 0.01
"""AdamW's: PyTorch's defaults, and the authors' epsilon."""


def fit(data: HeadData) -> Cache:
    """Trains the cache and chooses what is None. Settings: ``alpha``, ``beta``, ``choose``, ``epochs``, ``lr``."""
    import torch

    start = cache_of(data)
    given = {key: value for key in ("alpha", "beta") if (value := data.settings[key]) is not None}
    start = replace(start, **given)
    x, y = (torch.as_tensor(part, device=data.device) for part in (data.x, data.y))
    weights = torch.as_tensor(start.text.weights, dtype=x.dtype, device=data.device)
    text = x @ weights.T * start.text.logit_scale
    labels = torch.as_tensor(start.labels, device=data.device)
    keys = torch.tensor(start.keys, device=data.device, requires_grad=True)
    epochs, step = int(data.settings["epochs"]), 0
    steps = epochs * -(-len(x) // BATCH)
    mean, square = torch.zeros_like(keys), torch.zeros_like(keys)
    shuffled = np.random.default_rng(data.seed)
    best: tuple[tuple[float, float], int, Cache] | None = None
    with data.reporter.task(f"epochs for {data.label}", epochs) as advance:
        for epoch in range(1, epochs + 1):
            order = torch.as_tensor(shuffled.permutation(len(x)), device=data.device)
            for first in range(0, len(x), BATCH):
                rows = order[first : first + BATCH]
                affinity = torch.exp(start.beta * (x[rows] @ keys.T - 1))
                votes = torch.zeros_like(text[rows]).index_add(1, labels, affinity)
                loss = torch.nn.functional.cross_entropy(text[rows] + start.alpha * votes, y[rows])
                (gradient,) = torch.autograd.grad(loss, [keys])
                lr = float(data.settings["lr"]) * 0.5 * (1 + math.cos(math.pi * step / steps))
                step += 1
                mean.lerp_(gradient, 1 - BETAS[0])
                square.lerp_(gradient**2, 1 - BETAS[1])
                spread = (square / (1 - BETAS[1] ** step)).sqrt_().add_(EPSILON)
                with torch.no_grad():  # torch.optim takes seconds to import
                    keys.mul_(1 - lr * DECAY).addcdiv_(mean, spread, value=-lr / (1 - BETAS[0] ** step))
            there = replace(start, keys=keys.detach().cpu().numpy().copy())
            if data.x_val is None:
                best = (0.0, 0.0), epoch, there
            else:
                score, log_loss = data.validate(there)
                best = max(best or ((-1.0, 0.0), 0, there), ((score, -log_loss), epoch, there), key=lambda one: one[0])
            advance()
    if best is None:
        raise ValueError("there are no epochs")
    return choose(data, replace(best[2], detail={"epoch": best[1]}))


SPEC = HeadSpec(
    name="tip-adapter-f",
    definition="tip-adapter whose cached features are fine-tuned",
    source="Zhang et al. 2022",
    fit=fit,
    settings={"alpha": None, "beta": None, "choose": "validation", "epochs": 20, "lr": 0.001},
    text=True,
    validation=True,
    restore=restore,
)
