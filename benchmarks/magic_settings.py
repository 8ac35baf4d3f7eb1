"""Beta and k of MAGIC on the bundled models: CIDEr on the validation split of scenes, which the demo's choice is from.

python benchmarks/magic_settings.py
"""

import tempfile
import time
from itertools import product
from pathlib import Path

from vlmbench.captioners.names import CaptionerRef
from vlmbench.data.captions.read import Candidates, References
from vlmbench.foundations.progress import Silent
from vlmbench.session.context import Context
from vlmbench.session.session import Session
from vlmbench.tasks.captions.dataset import caption_dataset
from vlmbench.tasks.captions.evaluate import CaptionEvalRequest, run_caption_eval
from vlmbench.tasks.captions.scoring import Scoring

BETAS = (0.5, 1.0, 2.0)
KS = (10, 25, 45)


def main() -> None:
    """Prints a line a setting."""
    with tempfile.TemporaryDirectory() as directory:
        context = Context(out=Path(directory), cache_dir=Path(directory), reporter=Silent())
        session = Session(context)
        scoring = Scoring(metrics=("bleu_4", "cider"), resamples=100, allow_empty=True)
        for k, beta in product(KS, BETAS):
            started = time.perf_counter()
            ref = CaptionerRef.parse(f"magic:tiny-captioner,tiny-clip?beta={beta:g}&k={k}")
            made = caption_dataset(session, ref, "scenes", "val")
            seconds = time.perf_counter() - started
            references = References("scenes", "", made.references, "scenes")
            candidates = Candidates(made.system, "", made.by_image(), made.system)
            (run,) = run_caption_eval(CaptionEvalRequest(references, [candidates], scoring), context)
            cider, bleu = (run.record.metrics[name].value for name in ("cider", "bleu_4"))
            print(
                f"k {k:2}  beta {beta:3}  CIDEr x100 {100 * cider:5.1f}  BLEU-4 x100 {100 * bleu:4.1f}  {seconds:.0f} s"
            )


if __name__ == "__main__":
    main()
