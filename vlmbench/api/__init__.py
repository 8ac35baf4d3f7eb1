"""The public Python API: `vlmbench.zeroshot` and its siblings, and their results."""
