"""The head ``zeroshot-init``: the logistic probe that starts from the zero-shot classifier and is shrunk towards it.

Its objective is that of ``logistic`` with the class weights from text, times the model's logit scale, as the prior
(`vlmbench.heads.logistic`): as the penalty grows the probe becomes the zero-shot classifier. Features are those after
the projection, of unit length; the strength is searched on validation images, as for ``logistic``.

Public code: starting a probe at the text classifier is an option of many programs (WiSE-FT, CLAP's ZS-LP), which then
train by SGD with a fixed number of epochs and no penalty towards the start, so that the number of epochs decides.
"""

from vlmbench.heads.probe import SPEC as LOGISTIC
from vlmbench.heads.probe import fit
from vlmbench.heads.spec import HeadSpec

SPEC = HeadSpec(
    name="zeroshot-init",
    definition="logistic regression that starts from the zero-shot classifier and is penalised by the distance to it",
    source="Wortsman et al. 2022 (start); Radford et al. 2021, appendix A.3 (search)",
    fit=fit,
    settings=LOGISTIC.settings,
    text=True,
    validation=True,
    multilabel=True,
    linear=True,
)
