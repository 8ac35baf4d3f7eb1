"""The head ``clap``: a cosine probe that starts from text, held to it class by class (class-adaptive linear probe).

Silva-Rodríguez et al. 2024 (CLAP): class weights w start at the zero-shot classifier's t; a logit is the model's logit
scale times the cosine of feature and weight. The loss is::

    mean over images of the cross-entropy  +  mean over classes of m_k ‖w_k - t_k‖²

where m_k, which does not change, is the mean probability that zero-shot gives to the right class of class k's training
images: what text already knows well moves little. It is trained by SGD with momentum 0.9, learning rate 0.1 (one epoch
at 1e-5, then a cosine schedule), in batches of 256 for 300 epochs. Nothing is chosen on validation images.

Public code: jusiro/CLAP (MIT) takes as t the mean of the prompts' embeddings as the text encoder gives them, whose
length then decides how far a step turns a weight, here unit length; it trains on twenty random crops of each image,
here on the images as they are.
"""

import math

import numpy as np

from vlmbench.heads.spec import HeadData, HeadSpec, LinearHead

BATCH, MOMENTUM, WARM_UP = 256, 0.9, 1e-5


def fit(data: HeadData) -> LinearHead:
    """Trains the class weights. Settings: ``epochs``, ``lr``.

    Returns:
        The head; `detail` has the smallest and largest multiplier. A class without images keeps the text's weight.
    """
    import torch

    scale = data.text.logit_scale
    x, text = (
        torch.as_tensor(np.asarray(part, np.float32), device=data.device) for part in (data.x, data.text.weights)
    )
    y = torch.as_tensor(data.y, device=data.device)
    own = torch.softmax(scale * x @ text.T, dim=1).gather(1, y[:, None])[:, 0]
    counts = torch.bincount(y, minlength=data.classes).clamp_min(1)
    multipliers = torch.zeros(data.classes, device=data.device).index_add(0, y, own) / counts
    epochs, lr = int(data.settings["epochs"]), float(data.settings["lr"])
    w = text.clone().requires_grad_()
    moved = torch.zeros_like(text)
    shuffled = np.random.default_rng(data.seed)
    with data.reporter.task(f"epochs for {data.label}", epochs) as advance:
        for epoch in range(epochs):
            here = WARM_UP if epoch == 0 else lr * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
            order = torch.as_tensor(shuffled.permutation(len(x)), device=data.device)
            for first in range(0, len(x), BATCH):
                rows = order[first : first + BATCH]
                logits = scale * x[rows] @ torch.nn.functional.normalize(w, dim=1).T
                loss = torch.nn.functional.cross_entropy(logits, y[rows])
                loss = loss + (multipliers * ((w - text) ** 2).sum(dim=1)).mean()
                moved = MOMENTUM * moved + torch.autograd.grad(loss, [w])[0]
                with torch.no_grad():
                    w -= here * moved
            advance()
    coef = scale * torch.nn.functional.normalize(w.detach().double(), dim=1).cpu().numpy()
    low, high = float(multipliers.min()), float(multipliers.max())
    return LinearHead(coef, np.zeros(data.classes), detail={"multipliers": [low, high]})


SPEC = HeadSpec(
    name="clap",
    definition="a cosine probe from the zero-shot classifier, penalised by the distance to it as far as text is right",
    source="Silva-Rodríguez et al. 2024",
    fit=fit,
    settings={"epochs": 300, "lr": 0.1},
    text=True,
    linear=True,
)
