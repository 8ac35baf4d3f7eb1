"""Tables, plots, HTML and the regression gate, made from records."""
