"""The oracle: ``pycocoevalcap`` 1.2 with its two Java programs, run so that nothing can hang or shift by a line.

Stanford's tokenizer and METEOR 1.5 are started here, not by ``pycocoevalcap``: locale and encoding are pinned (METEOR
prints ``0,5`` under a German locale), text goes through pipes and no file is left, stderr is drained, silence ends in
an error, exit status and number of lines are checked, and on Linux the programs end when this process is killed. BLEU,
ROUGE-L and CIDEr are ``pycocoevalcap``'s own Python.
"""

import ctypes
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import AbsentError, VlmbenchError

TIMEOUT = 300.0  # seconds without a line
NO_FILES = ("-XX:+IgnoreUnrecognizedVMOptions", "-XX:-UsePerfData")
"""Without these a Java program that is killed leaves a file in ``/tmp/hsperfdata_USER``."""
_PINNED = (
    *NO_FILES,
    "-Duser.language=en", "-Duser.country=US", "-Duser.variant=", "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8",
    "-Dstderr.encoding=UTF-8", "-Dsun.stdout.encoding=UTF-8",
)  # fmt: skip
PUNCTUATION = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";"]
)
"""What ``pycocoevalcap`` removes from the tokenizer's output; lower-cased brackets are not in it."""


def _ends_with_its_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


ENDS_WITH_ITS_PARENT = _ends_with_its_parent if sys.platform == "linux" else None
"""A child's ``preexec_fn``: METEOR reads its data for many seconds, and SPICE works for minutes, before they look."""


class JavaError(VlmbenchError):
    """A Java program failed, went silent, or answered with the wrong number of lines (exit 70)."""


def java() -> str:
    """The path of the ``java`` program; `AbsentError` without Java."""
    found = shutil.which("java")
    if found is None:
        raise AbsentError(
            "--backend java needs Java, and there is no java program on the PATH",
            fix="apt install default-jre-headless, or leave out the option: the native scores are the same",
        )
    return found


def jar(*parts: str) -> Path:
    """A jar of the installed ``pycocoevalcap``; `AbsentError` where the package or the file is missing."""
    spec = find_spec("pycocoevalcap")
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place, *parts)
        if path.is_file():
            return path
    raise AbsentError(f"pycocoevalcap's {parts[-1]} is not installed", fix='pip install "pycocoevalcap==1.2"')


def tokenize(captions: Sequence[str], *, timeout: float = TIMEOUT) -> list[list[str]]:
    """Stanford's Penn Treebank tokens of each caption, lower-cased, punctuation removed. Raises `AbsentError` without
    Java or the jar, `JavaError` where the program fails or returns another number of lines. The program may take
    `timeout` seconds for 100,000 captions."""
    if not captions:
        return []
    program, archive = java(), jar("tokenizer", "stanford-corenlp-3.4.1.jar")
    command = [program, *_PINNED, "-cp", str(archive), "edu.stanford.nlp.process.PTBTokenizer"]
    lines_in = "".join(f"{caption}\n" for caption in captions).encode()
    try:
        done = subprocess.run(
            [*command, "-preserveLines", "-lowerCase"], input=lines_in, capture_output=True, check=False,
            timeout=timeout * (1 + len(captions) / 1e5), preexec_fn=ENDS_WITH_ITS_PARENT,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise JavaError("Stanford's tokenizer timed out", fix="run again with --backend native") from error
    lines = done.stdout.decode("utf-8", "replace").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    if done.returncode or len(lines) != len(captions):
        message = done.stderr.decode("utf-8", "replace").strip().splitlines()[-3:]
        raise JavaError(
            f"Stanford's tokenizer returned {len(lines)} lines for {len(captions)} captions, exit {done.returncode}: "
            f"{' / '.join(message)}",
            fix="run again with --backend native",
        )
    return [[word for word in line.rstrip().split(" ") if word and word not in PUNCTUATION] for line in lines]


class Meteor:
    """One METEOR 1.5 process (English, ``-norm``); a context manager. Raises `AbsentError` without Java or the jar."""

    def __init__(self, *, timeout: float = TIMEOUT) -> None:
        archive = jar("meteor", "meteor-1.5.jar")
        command = [java(), "-Xmx2G", *_PINNED, "-jar", str(archive), "-", "-", "-stdio", "-l", "en", "-norm"]
        self._timeout = timeout
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, cwd=archive.parent,
            preexec_fn=ENDS_WITH_ITS_PARENT,
        )  # fmt: skip
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        threading.Thread(target=_drain, args=(self._process.stdout, self._lines), daemon=True).start()

    def __enter__(self) -> "Meteor":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for handle in (self._process.stdin, self._process.stdout, self._errors):
            try:
                if handle is not None:
                    handle.close()
            except OSError:
                continue  # the pipe of a killed process: no data is lost

    def statistics(self, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[str]:
        """METEOR's line of statistics for each candidate and its references (tokenized lines)."""
        return self._ask(
            [f"SCORE ||| {' ||| '.join(refs)} ||| {line}" for line, refs in zip(candidates, references, strict=True)]
        )

    def scores(self, statistics: Sequence[str]) -> tuple[NDArray[np.float64], float]:
        """The score of each line of statistics, `[n]`, and of all of them together, 0 to 1."""
        if not statistics:
            return np.zeros(0), 0.0
        answers = self._ask([" ||| ".join(["EVAL", *statistics])], expected=len(statistics) + 1)
        try:
            values = np.array([float(answer) for answer in answers])
        except ValueError as error:
            raise JavaError(
                f"METEOR's answer is not a number: {error}", fix="run again with --backend native"
            ) from error
        return values[:-1], float(values[-1])

    def _ask(self, lines: Sequence[str], expected: int | None = None) -> list[str]:
        writer = threading.Thread(target=_write, args=(self._process.stdin, lines), daemon=True)
        writer.start()
        answers = []
        for _ in range(len(lines) if expected is None else expected):
            try:
                answer = self._lines.get(timeout=self._timeout)
            except queue.Empty:
                raise JavaError(
                    f"METEOR gave no answer for {self._timeout:g} s", fix="run again with --backend native"
                ) from None
            if answer is None:
                self._errors.seek(0)
                message = self._errors.read().decode("utf-8", "replace").strip().splitlines()[-3:]
                raise JavaError(
                    f"METEOR ended with exit code {self._process.wait()}: {' / '.join(message)}",
                    fix="run again with --backend native",
                )
            answers.append(answer.decode("utf-8", "replace").strip())
        writer.join(self._timeout)
        if not self._lines.empty():
            raise JavaError("METEOR returned more lines than it was given", fix="run again with --backend native")
        return answers


def meteor_lines(candidates: Iterable[str]) -> list[str]:
    """Candidates as ``pycocoevalcap`` passes them to METEOR: without ``|||``, double spaces replaced by one, once."""
    return [line.replace("|||", "").replace("  ", " ") for line in candidates]


def bleu_rouge_cider(
    candidates: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[dict[str, NDArray[np.float64]], dict[str, float]]:
    """``pycocoevalcap``'s own BLEU-1 … 4, ROUGE-L and CIDEr of tokenized lines: per image `[n]`, and of the corpus."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    reference = {index: list(refs) for index, refs in enumerate(references)}
    candidate = {index: [line] for index, line in enumerate(candidates)}
    scores, each = Bleu(4).compute_score(reference, candidate, verbose=0)
    per_image = {f"bleu_{n}": np.asarray(values) for n, values in enumerate(each, 1)}
    corpus = {f"bleu_{n}": float(value) for n, value in enumerate(scores, 1)}
    for name, scorer in (("rouge_l", Rouge()), ("cider", Cider())):
        value, values = scorer.compute_score(reference, candidate)
        per_image[name], corpus[name] = np.asarray(values), float(value)
    return per_image, corpus


def _drain(stream: IO[bytes] | None, lines: "queue.Queue[bytes | None]") -> None:
    for line in stream or ():
        lines.put(line)
    lines.put(None)


def _write(stream: IO[bytes] | None, lines: Sequence[str]) -> None:
    if stream is None:
        return
    try:
        for line in lines:
            stream.write(line.encode("utf-8", "replace") + b"\n")
        stream.flush()
    except (OSError, ValueError):
        return  # the process ended or was closed: the reader reports it
