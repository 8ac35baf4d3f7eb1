"""Captioning, and scoring captions."""
