"""Beta and k of MAGIC on the bundled models: CIDEr on the validation split of scenes, which the demo's choice is from.

python benchmarks/magic_settings.py
"""

import tempfile
import time
from itertools import product
from pathlib import Path

from vlmbench.foundations.progress import Silent
from vlmbench.session.context import Context
from vlmbench.session.session import Session
from vlmbench.tasks.captions.captioning import caption_dataset
from vlmbench.tasks.captions.scoring import Protocol, score_captions

BETAS = (0.5, 1.0, 2.0)
KS = (10, 25, 45)


def main() -> None:
    """Prints a line a setting."""
    with tempfile.TemporaryDirectory() as directory:
        context = Context(out=Path(directory), cache_dir=Path(directory), reporter=Silent())
        session = Session(context)
        protocol = Protocol(metrics=("bleu_4", "cider"), resamples=100, allow_empty=True)
        for k, beta in product(KS, BETAS):
            started = time.perf_counter()
            made = caption_dataset(session, f"magic:tiny-captioner,tiny-clip?beta={beta:g}&k={k}", "scenes", "val")
            seconds = time.perf_counter() - started
            captions = {made.system: dict(zip(made.ids, made.captions, strict=True))}
            (run,) = score_captions(made.references, captions, context, protocol=protocol)
            cider, bleu = (run.record.metrics[name].value for name in ("cider", "bleu_4"))
            print(
                f"k {k:2}  beta {beta:3}  CIDEr x100 {100 * cider:5.1f}  BLEU-4 x100 {100 * bleu:4.1f}  {seconds:.0f} s"
            )


if __name__ == "__main__":
    main()
