"""Human judgements of captions, in the layouts in which they were published."""
