"""Datasets: where images, labels and class names come from, how an image is decoded, and what identifies a split."""
