"""Errors, atomic files, text escaping, seeds: what every other layer stands on (standard library only)."""
