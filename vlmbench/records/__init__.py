"""Result records, signatures and registries: what a run writes."""
