"""Splits and encoders that tests of passes over images share."""

import numpy as np

from vlmbench.data.base import Split
from vlmbench.data.bundled import Arrays
from vlmbench.features.encode import EncodeJob, EncodeOptions, encode_split, read_layer
from vlmbench.features.store import FeatureEntry, FeatureKey
from vlmbench.foundations.progress import Silent


class Encoder:
    """A layer that says which images were in the batch, as a product of matrices does in its last digits."""

    layers = ("proj",)

    def __init__(self, width=3, stop_after=None, clock=None, seconds=10):
        self.width, self.stop_after, self.clock, self.seconds, self.batches = width, stop_after, clock, seconds, []

    def preprocess(self, image):
        return np.asarray(image)[0, 0].astype(np.float32)

    def encode_images(self, pixels):
        if len(self.batches) == self.stop_after:
            raise KeyboardInterrupt
        self.batches.append(pixels[:, 0].astype(int).tolist())
        if self.clock is not None:
            self.clock.now += self.seconds
        return {"proj": np.repeat(pixels[:, :1] + pixels[:, 0].sum() / 1000, self.width, axis=1)}


def split_of(count, damaged=()):
    raws = tuple(b"no image" if n in damaged else np.full((2, 2, 3), n % 251, np.uint8) for n in range(count))
    return Split("test", tuple(f"i{n}" for n in range(count)), np.zeros(count, np.int64), Arrays(raws))


def entry(cache, name="a", images=50):
    return FeatureEntry(cache, FeatureKey(name, "", "fp32", "", "test", {"torch": "2"}), images)


def run(split, jobs, on_bad_image="skip", reporter=None, **more):
    jobs = [EncodeJob(job.key.weights_sha256, job, lambda encoder=encoder: encoder) for job, encoder in jobs]
    return encode_split(split, jobs, EncodeOptions(8, 2, on_bad_image, reporter or Silent(), **more))


def features(one):
    rows, x = read_layer(one, "proj")
    return rows, np.asarray(x)
