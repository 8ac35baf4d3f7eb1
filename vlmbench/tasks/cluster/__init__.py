"""``--ray``: a command's encoding on a Ray cluster."""
