"""Models that turn images into captions."""
