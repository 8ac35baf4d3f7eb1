"""Options that decide how captions are made and scored, in groups that ``caption`` and ``caption-eval`` share."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from vlmbench.cli.options.common import option

PANEL = "Making captions"


class OnFailure(StrEnum):
    """What to do with an image that cannot be captioned."""

    skip = "skip"
    error = "error"


Metrics = Annotated[
    str | None,
    option(
        "--metrics",
        help="Comma-separated: {caption metrics}; BLEU: all four. (default: see usual in vlmbench list metrics)",
    ),
]
Clip = Annotated[
    str | None, option("--clip", help="Dual encoder for CLIPScore. (default: openai/clip-vit-base-patch32)")
]


@dataclass(frozen=True)
class MakingCaptions:
    """How captions are made."""

    prompt: Annotated[
        str | None,
        option("--prompt", help="Text prompt given with each image. (default: the model's own)", panel=PANEL),
    ] = None
    num_beams: Annotated[
        int, option("--num-beams", min=1, help="Beam search width; 1 is greedy decoding.", panel=PANEL)
    ] = 1
    max_new_tokens: Annotated[
        int, option("--max-new-tokens", min=1, help="Maximum caption length, in tokens.", panel=PANEL)
    ] = 40
    temperature: Annotated[
        float, option("--temperature", min=0.0, help="Sampling temperature; 0: no sampling.", panel=PANEL)
    ] = 0.0
    shots: Annotated[int, option("--shots", min=0, help="Few-shot examples put before each image.", panel=PANEL)] = 0
    anchors: Annotated[
        str | None,
        option(
            "--anchors",
            help="Captioned set whose training split provides few-shot examples and retrieval captions. (default: -d)",
            panel=PANEL,
        ),
    ] = None
    concurrency: Annotated[
        int, option("--concurrency", min=1, help="Concurrent requests to an endpoint.", panel=PANEL)
    ] = 8
    timeout: Annotated[
        float, option("--timeout", min=0.1, help="Timeout per request to an endpoint, in seconds.", panel=PANEL)
    ] = 60.0
    on_failure: Annotated[
        OnFailure,
        option("--on-failure", help="skip: report a failed image and leave it out; error: stop the run.", panel=PANEL),
    ] = OnFailure.skip

    def arguments(self) -> dict[str, Any]:
        """The same as the API takes them."""
        return {**vars(self), "on_failure": self.on_failure.value}


@dataclass(frozen=True)
class ScoringCaptions:
    """How captions are scored."""

    metrics: Metrics = None
    clip: Clip = None
    backend: Annotated[
        str, option("--backend", help="native, or java: pycocoevalcap with its Java programs, the reference.")
    ] = "native"
    resamples: Annotated[
        int, option("--resamples", min=100, help="Bootstrap resamples, and swaps of the randomization test.")
    ] = 1000
    df_from: Annotated[
        str | None,
        option("--df-from", help="References that CIDEr's document frequencies come from. (default: those of -r)"),
    ] = None
    novel_to: Annotated[
        str | None,
        option(
            "--novel-to",
            help="Training captions (a file as for -r, or a captioned set): reports the share of novel captions.",
        ),
    ] = None

    def arguments(self) -> dict[str, Any]:
        """The same as the API takes them."""
        given = dict(vars(self))
        return {"document_frequency": given.pop("df_from"), **given}
