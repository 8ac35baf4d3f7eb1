"""SPICE with its Java program (Anderson et al. 2016), if its jars are installed.

``pycocoevalcap`` 1.2 ships SPICE without its parser, Stanford CoreNLP 3.6, which must be downloaded once.
The program is called as ``pycocoevalcap`` calls it (8 GB of heap, ``-cache``, ``-out``, ``-subset``, ``-silent``), and
the score of an image is the same ``["scores"]["All"]["f"]``. Two things differ: the cache of parsed captions is in
vlmbench's cache directory, not in the installed package; and if neither caption nor references give a tuple, F is
0 here, while there it is NaN and so is the mean over all images.
"""

import json
import math
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.atomic import temporary_directory
from vlmbench.foundations.errors import AbsentError
from vlmbench.foundations.text import visible
from vlmbench.metrics.captions.java import ENDS_WITH_ITS_PARENT, NO_FILES, JavaError, jar, java
from vlmbench.metrics.spec import CaptionSpec

PARSERS = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
FIX = (
    'python -c "from pycocoevalcap.spice.get_stanford_models import get_stanford_models; get_stanford_models()", '
    "or leave spice out of --metrics"
)
_OPENED = (*NO_FILES, "--add-opens=java.base/java.lang=ALL-UNNAMED")  # for Java 16 and newer
_SECONDS = 600.0


def spice_scores(
    candidates: Sequence[str], references: Sequence[Sequence[str]], cache_dir: Path, *, memory: str = "8G"
) -> NDArray[np.float64]:
    """SPICE's F-score of each image [N], 0 to 1; 0 if no scene graph could be made. The corpus score is their mean.
    Raises `AbsentError` without Java, ``pycocoevalcap`` or Stanford CoreNLP, `JavaError` where the program fails, times
    out, or returns other images. Captions and references [N] are tokens joined by spaces; the parsed graphs of
    references are stored in `cache_dir`."""
    program, main = java(), jar("spice", "spice-1.0.jar")
    missing = [name for name in PARSERS if not (main.parent / "lib" / name).is_file()]
    if missing:
        raise AbsentError(f"SPICE needs {missing[0]}, which is missing", where=str(main.parent / "lib"), fix=FIX)
    graphs = cache_dir / "spice"
    requests = [
        {"image_id": row, "test": caption, "refs": list(group)}
        for row, (caption, group) in enumerate(zip(candidates, references, strict=True))
    ]
    with temporary_directory(graphs) as place:
        given, answer = place / "in.json", place / "out.json"
        given.write_text(json.dumps(requests), "utf-8")
        command = [program, f"-Xmx{memory}", *_OPENED, f"-Djava.io.tmpdir={place}", "-jar", str(main), str(given)]
        command += ["-cache", str(graphs), "-out", str(answer), "-subset", "-silent"]
        try:
            done = subprocess.run(
                command, cwd=main.parent, capture_output=True, check=False, timeout=_SECONDS + len(requests),
                preexec_fn=ENDS_WITH_ITS_PARENT,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise JavaError("SPICE timed out", where=str(main), fix="leave spice out of --metrics") from error
        if done.returncode or not answer.is_file():
            message = visible(" ".join(done.stderr.decode("utf-8", "replace").split())[-300:])
            raise JavaError(
                f"SPICE ended with exit code {done.returncode}: {message}", where=str(main), fix="leave spice out"
            )
        return _read(answer, len(requests))


def _read(path: Path, count: int) -> NDArray[np.float64]:
    """F-scores in the order of the images; SPICE may use another."""
    found = np.full(count, math.nan)
    try:
        for entry in json.loads(path.read_text("utf-8")):
            value = entry["scores"]["All"]["f"]
            number = float(value) if value is not None else 0.0
            found[int(entry["image_id"])] = 0.0 if math.isnan(number) else number
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise JavaError(f"SPICE's output is malformed: {error}", fix="leave spice out of --metrics") from error
    if np.isnan(found).any():
        raise JavaError(f"SPICE left out {int(np.isnan(found).sum())} images", fix="leave spice out of --metrics")
    return found


SPEC = CaptionSpec(
    name="spice",
    title="SPICE",
    definition="SPICE, F of scene graphs; needs Java and Stanford CoreNLP (Anderson et al. 2016)",
    source="Anderson et al. 2016; pycocoevalcap 1.2",
    blind_to="fluency and grammar, and what its parser does not understand",
    needs="java",
    order=90,
)
