"""Caption metrics: tokenizer, BLEU, ROUGE-L, METEOR, CIDEr."""
