"""Datasets on this machine: folders, lists, archives."""
