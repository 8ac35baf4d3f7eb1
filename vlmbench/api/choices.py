"""The names of metrics that options can have, for help and checks; nothing heavy is imported for them."""


def deciding_metrics() -> list[str]:
    """The classification metrics that ``metric`` can name: higher is better."""
    from vlmbench.metrics.choice import deciding

    return deciding()


def caption_metrics(*needing: str, usual: bool = False) -> list[str]:
    """The names of caption metrics.

    Args:
        needing: only those that need one of these: ``documents``, ``index``, ``java``, ``images``; None: all.
        usual: only those that are scored by default.
    """
    from vlmbench.metrics.spec import caption_specs

    return [
        spec.name for spec in caption_specs() if (not needing or spec.needs in needing) and (spec.usual or not usual)
    ]


def gpus() -> int:
    """CUDA GPUs that this process may use; see `vlmbench.encoders.device.gpus`."""
    from vlmbench.encoders.device import gpus

    return gpus()
