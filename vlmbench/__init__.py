"""vlmbench: zero-shot CLIP against a linear probe, and caption metrics without Java."""

__version__ = "0.1.0"
