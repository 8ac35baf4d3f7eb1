"""Pure functions from predictions or tokens to scores, intervals and tests."""
