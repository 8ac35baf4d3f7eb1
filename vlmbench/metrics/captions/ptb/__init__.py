"""Penn Treebank tokenization of captions without Java."""
