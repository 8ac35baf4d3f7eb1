"""What ships with the package: two small models, three data sets and the split of a fourth."""
