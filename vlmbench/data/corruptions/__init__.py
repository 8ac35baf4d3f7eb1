"""Corruptions of images (Hendrycks and Dietterich 2019)."""
