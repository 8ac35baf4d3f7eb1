"""``shade:THRESHOLD``: says of an image whether it is brighter than a threshold from 0 to 255."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from vlmbench.captioners.base import Done
from vlmbench.captioners.names import CaptionerKind
from vlmbench.records.result import ModelFacts


@dataclass(frozen=True)
class Shade:
    """The captioner; its fields are what has to be there."""

    system: str
    facts: ModelFacts
    decoding: dict

    def stream(self, items):
        """A caption for each image."""
        for item in items:
            bright = np.asarray(item.image).mean() > self.decoding["threshold"]
            yield [Done(item, f"a {'bright' if bright else 'dark'}\npicture")]


def open_shade(threshold, setup):
    """From the number behind the colon to the captioner; `setup` has options, models and training data."""
    weights = sha256(b"shade 1").hexdigest()
    facts = ModelFacts(id=f"shade:{threshold}", weights_sha256=weights, kind="shade")
    return Shade(f"shade:{threshold}", facts, {"threshold": threshold})


KIND = CaptionerKind(name="shade", parse=int, open=open_shade)
