"""The feature store: every image of a split encoded once by a model, every prompt set once."""
