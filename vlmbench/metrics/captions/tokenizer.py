from __future__ import annotations

from vlmbench.metrics.captions._ptb_chars import shadow
from vlmbench.metrics.captions._ptb_rules import lex


def tokenize_one(t): return lex(t, shadow(t))
def tokenize(ts): return [lex(t, shadow(t)) for t in ts]
