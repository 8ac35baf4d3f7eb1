"""The regression gate: baselines, verdicts, and what CI systems read."""
