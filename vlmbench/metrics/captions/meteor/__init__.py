"""METEOR 1.5 (English, -norm) without Java."""
