"""Readers: image folders, hub datasets, built-in sets, caption files."""
