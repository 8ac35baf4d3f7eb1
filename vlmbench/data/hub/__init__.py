"""Datasets on the Hugging Face hub: fetched, streamed, or read from a copy on disk."""
