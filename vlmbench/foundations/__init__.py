"""Errors, atomic files, text escaping, seeds: the base of every other layer (standard library only)."""
