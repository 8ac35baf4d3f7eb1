"""The linear probe: its data, its fit, its runs."""
