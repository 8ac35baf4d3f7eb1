"""The head ``blend``: the weights of the zero-shot classifier and of a probe, mixed.

Wortsman et al. 2022 (WiSE-FT) on a linear classifier: ``(1 - alpha) · zero-shot + alpha · probe``, with the zero-shot
weights times the model's logit scale. The probe is ``logistic`` on the same features, its strength searched on the
validation images; alpha is then chosen on the same images among 0.05, 0.1 … 1, and is 0.5, the paper's advice, where
there are none.

Public code: mlfoundations/wise-ft fine-tunes from the zero-shot classifier by AdamW for a fixed number of epochs,
here the probe is the optimum of its penalised objective; it evaluates all alphas on the test sets, and its paper
reports 0.5 beside the best.
"""

from dataclasses import replace

import numpy as np
from pydantic import JsonValue

from vlmbench.heads.probe import fit as fit_probe
from vlmbench.heads.spec import HeadData, HeadSpec, LinearHead

ALPHAS = tuple(step / 20 for step in range(1, 21))
ALPHA = 0.5


def fit(data: HeadData) -> LinearHead:
    """Fits the probe and chooses alpha."""
    text = np.asarray(data.text.weights, dtype=np.float64) * data.text.logit_scale
    probe = fit_probe(replace(data, zero_shot=None, settings={}))
    alpha = ALPHA
    chosen: dict[str, JsonValue] = {}
    if data.x_val is not None:
        ours, theirs = probe.logits(data.x_val), np.asarray(data.x_val, dtype=np.float64) @ text.T
        alpha, chosen = data.choose((alpha, (1 - alpha) * theirs + alpha * ours) for alpha in ALPHAS)
    coef = (1 - alpha) * text + alpha * probe.coef
    return LinearHead(coef, alpha * probe.intercept, detail={"alpha": alpha, "c": probe.c, **chosen})


SPEC = HeadSpec(
    name="blend",
    definition="weights of the zero-shot classifier and of the logistic probe, mixed",
    source="Wortsman et al. 2022",
    fit=fit,
    text=True,
    validation=True,
    linear=True,
)
