"""ASIF's arithmetic over many anchors: time, peak memory, and the difference to a dense statement of the formula.

Synthetic features; the anchors are made a shard at a time, as the feature store gives them.

    python benchmarks/asif.py [--anchors 200000] [--width 512] [--images 10000] [--classes 100]
"""

import argparse
import resource
import time

import numpy as np

from vlmbench.encoders.asif import NONZERO, POWER, relative
from vlmbench.heads.zeroshot import ZeroShotWeights, class_weights, logits

SHARD = 1024


def shards(count, width, seed):
    """The features of `count` anchors, `[n, width]` float32 at a time."""
    generator = np.random.default_rng(seed)
    for start in range(0, count, SHARD):
        yield generator.standard_normal((min(SHARD, count - start), width), dtype=np.float32)


def dense(values, count, width, seed):
    """Equations 1 to 3 of Norelli et al. 2022 in float64, `[N, count]`."""
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    cosines = np.empty((len(values), count))
    for number, part in enumerate(shards(count, width, seed)):
        part = part.astype(np.float64)
        cosines[:, number * SHARD : number * SHARD + len(part)] = (
            unit @ (part / np.linalg.norm(part, axis=1, keepdims=True)).T
        )
    floor = np.sort(cosines, axis=1)[:, [-NONZERO]]
    powers = np.where(cosines >= floor, cosines, 0).clip(0) ** POWER
    return powers / np.linalg.norm(powers, axis=1, keepdims=True)


def peak():
    """The most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--anchors", type=int, default=200_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=100)
    given = parser.parse_args()
    generator = np.random.default_rng(0)
    images = generator.standard_normal((given.images, given.width), dtype=np.float32)
    texts = generator.standard_normal((given.classes, given.width), dtype=np.float32)
    began, before = time.perf_counter(), peak()
    x = relative(images, shards(given.anchors, given.width, 1))
    weights = class_weights(relative(texts, shards(given.anchors, given.width, 2)), [1] * given.classes)
    found = logits(x, ZeroShotWeights(weights, 1.0, 0.0, (), (), ""))
    print(f"{given.images:,} images and {given.classes} texts, {given.anchors:,} anchors of {given.width} numbers:")
    print(f"  {time.perf_counter() - began:.1f} s, {peak():.0f} MB at most ({before:.0f} MB before)")
    print(
        f"  as one dense array the images' representations alone would take {4e-6 * found.shape[0] * x.shape[1]:.0f} MB"
    )
    some = slice(0, min(20, given.images))
    expected = dense(images[some].astype(np.float64), given.anchors, given.width, 1)
    print(
        f"  representations of {len(expected)} images against float64: {np.abs(x[some] - expected).max():.1e} at most"
    )
    expected = expected @ dense(texts.astype(np.float64), given.anchors, given.width, 2).T
    print(f"  their logits: {np.abs(found[some] - expected).max():.1e} at most, of {expected.max():.2f}")


if __name__ == "__main__":
    main()
