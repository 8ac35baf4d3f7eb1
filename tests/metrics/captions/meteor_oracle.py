"""The METEOR jar of pycocoevalcap as a black box, spoken to as `pycocoevalcap.meteor` does."""

import importlib.util
import shutil
import subprocess
import threading
from pathlib import Path

import pytest


def require_java() -> None:
    """Skips the test where there is no Java."""
    if shutil.which("java") is None:
        pytest.skip("no Java on this machine: the oracle cannot be asked")


def ask(candidates: list[str], references: list[list[str]]) -> tuple[list[list[int]], list[float], float]:
    """The jar's statistics and score of each image, and the corpus score."""
    spec = importlib.util.find_spec("pycocoevalcap")
    folder = Path(next(iter(spec.submodule_search_locations))) / "meteor"
    command = ["java", "-Xmx2G", "-jar", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm"]
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
    ) as program:
        lines = [
            " ||| ".join(["SCORE", *refs, line.replace("|||", "").replace("  ", " ")])
            for line, refs in zip(candidates, references, strict=True)
        ]
        writer = threading.Thread(target=lambda: (program.stdin.write("\n".join(lines) + "\n"), program.stdin.flush()))
        writer.start()
        statistics = [program.stdout.readline().strip() for _ in lines]
        writer.join()
        program.stdin.write(" ||| ".join(["EVAL", *statistics]) + "\n")
        program.stdin.flush()
        scores = [float(program.stdout.readline()) for _ in statistics]
        corpus = float(program.stdout.readline())
        program.stdin.close()
    return [[int(float(value)) for value in line.split()] for line in statistics], scores, corpus
