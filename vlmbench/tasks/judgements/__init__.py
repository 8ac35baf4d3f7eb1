"""metric-eval: how well caption metrics agree with people."""
