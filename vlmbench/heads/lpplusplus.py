"""The head ``lp++``: a linear probe whose class weights are image weights plus a multiple of the text's.

Huang et al. 2024 (LP++): with unit features f and unit text weights t, the logit of class k is::

    f · (w_k + a_k t_k) + b_k

which minimises the mean cross-entropy over w (image weights), a (one multiple per class) and b. Nothing is tuned: all
steps are full-batch gradient steps whose lengths come from the data,

- of w and b: 4 N / (largest eigenvalue of FᵀF), with momentum 0.9, at every step;
- of a: N / (4 · the largest over classes of Σ (f·t_k)²), at every tenth step;

and so do the starts: w_k is the sum of class k's features, a is 250 times the mean over classes of the mean cosine of a
class's images with its text. There are 300 steps; the one that is best on validation images is taken, the last where
there are none.

Public code: FereshteShakeri/FewShot-CLIP-Strong-Baseline (no licence), whose constants these are: the paper's method of
majorize-minimize has neither momentum nor intercept. Its intercepts start at random, here at 0; it never clears the
gradient of a, so that a step of a is by the sum of all gradients so far, here by the gradient at that step.
"""

from typing import Any

import numpy as np

from vlmbench.heads.spec import HeadData, HeadSpec, LinearHead

MOMENTUM, EVERY, START = 0.9, 10, 250.0


def fit(data: HeadData) -> LinearHead:
    """Runs the steps and takes the best. Setting: ``steps``."""
    import torch

    dtype = torch.float64 if data.x.dtype == np.float64 else torch.float32
    x, text = (torch.as_tensor(part, dtype=dtype, device=data.device) for part in (data.x, data.text.weights))
    y = torch.as_tensor(data.y, device=data.device)
    cosines = x @ text.T
    one_hot = torch.nn.functional.one_hot(y, data.classes).to(dtype)
    counts = one_hot.sum(dim=0)
    gram = x.T @ x if x.shape[0] > x.shape[1] else x @ x.T  # the same largest eigenvalue
    step = 4 * len(x) / float(torch.linalg.eigvalsh(gram)[-1])
    step_a = len(x) / (4 * float((cosines**2).sum(dim=0).max()))
    w, b = one_hot.T @ x, torch.zeros(data.classes, dtype=dtype, device=data.device)
    present = counts > 0
    own = (one_hot * cosines).sum(dim=0)[present] / counts[present]
    a = torch.full_like(b, START * float(own.mean()))
    moved, moved_b = torch.zeros_like(w), torch.zeros_like(b)
    best: tuple[tuple[float, float], dict[str, Any], LinearHead] | None = None

    def head() -> LinearHead:
        coef = (w + a[:, None] * text).double().cpu().numpy()
        return LinearHead(coef, b.double().cpu().numpy())

    for number in range(1, int(data.settings["steps"]) + 1):
        residual = (torch.softmax(x @ w.T + b + a * cosines, dim=1) - one_hot) / len(x)
        moved = MOMENTUM * moved + residual.T @ x
        moved_b = MOMENTUM * moved_b + residual.sum(dim=0)
        w, b = w - step * moved, b - step * moved_b
        if number % EVERY == 0:
            a = a - step_a * (residual * cosines).sum(dim=0)
        if data.x_val is not None:
            there = head()
            logits = there.logits(data.x_val)
            score = data.score(logits)
            if best is None or score >= best[0][0]:
                rank = (score, -data.log_loss(logits))
                if best is None or rank > best[0]:
                    best = rank, {"step": number, "validation_score": score, "validation_log_loss": -rank[1]}, there
    detail, chosen = (best[1], best[2]) if best is not None else ({"step": number}, head())
    return LinearHead(chosen.coef, chosen.intercept, detail=detail)


SPEC = HeadSpec(
    name="lp++",
    definition="class weights from images plus a learned multiple of the text's, in full-batch steps without tuning",
    source="Huang et al. 2024",
    fit=fit,
    settings={"steps": 300},
    text=True,
    validation=True,
    linear=True,
)
