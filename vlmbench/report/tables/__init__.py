"""The tables, one per module."""
