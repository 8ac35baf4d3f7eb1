"""A session: each model loaded once, each image decoded once, whatever the tasks that share them."""
