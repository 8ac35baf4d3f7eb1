"""Several crops of one image: boxes and tiles."""
