"""Fact tables, carried over into the package."""
