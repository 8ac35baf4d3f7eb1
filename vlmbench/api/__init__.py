"""The public Python API: what `vlmbench.zeroshot` and its siblings are, and what they return."""
