"""Options that several commands share, in groups, each written once."""
