"""Encoders: images and texts to features, through one protocol whatever the architecture."""
