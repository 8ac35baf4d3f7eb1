"""Options that decide how captions are made, shared by ``caption`` and ``caption-eval --captioner``."""

from enum import StrEnum
from typing import Annotated, Any

from vlmbench.cli.options.common import option

PANEL = "Making captions"


class OnFailure(StrEnum):
    """What to do with an image that cannot be captioned."""

    skip = "skip"
    error = "error"


Prompt = Annotated[
    str | None, option("--prompt", help="Text prompt given with each image. (default: the model's own)", panel=PANEL)
]
Beams = Annotated[int, option("--num-beams", min=1, help="Beam search width; 1 is greedy decoding.", panel=PANEL)]
Tokens = Annotated[int, option("--max-new-tokens", min=1, help="Maximum caption length, in tokens.", panel=PANEL)]
Temperature = Annotated[
    float, option("--temperature", min=0.0, help="Sampling temperature; 0: no sampling.", panel=PANEL)
]
Shots = Annotated[int, option("--shots", min=0, help="Few-shot examples put before each image.", panel=PANEL)]
Anchors = Annotated[
    str | None,
    option(
        "--anchors",
        help="Captioned set whose training split provides few-shot examples and retrieval captions. (default: -d)",
        panel=PANEL,
    ),
]
Concurrency = Annotated[int, option("--concurrency", min=1, help="Concurrent requests to an endpoint.", panel=PANEL)]
Timeout = Annotated[
    float, option("--timeout", min=0.1, help="Timeout per request to an endpoint, in seconds.", panel=PANEL)
]
Failure = Annotated[
    OnFailure,
    option("--on-failure", help="skip: report a failed image and leave it out; error: stop the run.", panel=PANEL),
]


def decoding(prompt: str | None, num_beams: int, max_new_tokens: int, temperature: float, shots: int) -> dict[str, Any]:
    """The decoding options as `vlmbench.captioners.base.Decoding` names them."""
    return {
        "prompt": prompt,
        "num_beams": num_beams,
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
        "shots": shots,
    }


def dataset_of(dataset: str | None) -> str:
    """The data set of ``caption-eval --captioner``.

    Raises:
        UsageError: none is named.
    """
    from vlmbench.foundations.errors import UsageError

    if dataset is None:
        raise UsageError("--captioner goes with -d", fix="vlmbench caption-eval --captioner MODEL -d scenes")
    return dataset


def files_of(references: str | None, candidates: list[str] | None) -> tuple[str, list[str]]:
    """The files of ``caption-eval`` without captioner.

    Raises:
        UsageError: references or candidates are not named.
    """
    from vlmbench.foundations.errors import UsageError

    if references is None or not candidates:
        raise UsageError(
            "give references with -r and candidates with -p, or --captioner with -d",
            fix="vlmbench caption-eval -r references.json -p results.json",
        )
    return references, candidates
