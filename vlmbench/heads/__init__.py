"""Classifiers on frozen features: zero-shot and linear probe."""
