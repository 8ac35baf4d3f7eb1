"""Seeds: one number from the user, an independent stream for each purpose."""

import hashlib


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, a pure function of `seed` and the purpose's name.

    ``derive_seed(0, "bootstrap", "accuracy")`` never collides with ``derive_seed(0, "few-shot", 3)``, so adding a
    resampling step does not move the numbers of another.
    """
    text = "\x1f".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
