"""Records of caption scores."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, Field, JsonValue

from vlmbench.foundations.hashing import digest
from vlmbench.records.task import Fields, Number, TaskDetail, TaskProtocol, TaskSpec

if TYPE_CHECKING:
    from vlmbench.records.result import Record


class ClipProtocol(Fields):
    """The dual encoder of CLIPScore."""

    model: str
    processor: str | None = None
    """Digest of its configuration, preprocessing and tokenizer; earlier versions did not record it."""
    precision: str
    engine: str | None = None
    decode: str | None = None
    prefix: str
    w: Number


class CaptionProtocol(TaskProtocol):
    """What decides caption scores; a captioner's decoding adds fields of its own."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)

    tokenizer: str | None = None
    backend: str | None = None
    references: str | None = None
    """References per image: ``5`` or ``4-6``."""
    df: str | None = None
    """Where CIDEr's document frequencies come from."""
    metrics: str | None = None
    """Between commas."""
    limit: int | None = None
    group: str | None = None
    """The group of the images that are scored."""
    clip: ClipProtocol | None = None
    captions: str | None = None
    """Digest of ids and candidates."""

    @property
    def scored(self) -> list[str]:
        """The metrics that a run must have."""
        return [name for name in (self.metrics or "").split(",") if name]


class TextProfile(Fields):
    """What captions are like; see `vlmbench.metrics.captions.diversity`."""

    words: float
    vocabulary: float
    distinct_1: float
    distinct_2: float
    different: float
    novel: float | None = None


class CaptionDetail(TaskDetail):
    """What explains caption scores; a count of 0 is left out."""

    text: TextProfile | None = None
    novel_to: str | None = None
    """Number and digest of the training captions."""
    references_sha256: str | None = None
    """Digest of all references, including images without a caption of the system."""
    not_english: str | None = None
    missing: int | None = None
    """Images without a candidate."""
    unknown: int | None = None
    """Candidates without an image."""
    sanitised_references: int | None = None
    sanitised: int | None = None
    without_words: int | None = None


def wrong_captions(record: "Record", columns: Mapping[str, Any]) -> list[str]:
    """Whether the candidates match the digest in the record's protocol."""
    protocol = record.protocol
    said = protocol.captions if isinstance(protocol, CaptionProtocol) else None
    if said is None:
        return []
    ids, captions = columns["id"].tolist(), columns["candidate"].tolist()
    if digest([ids, captions])[: len(said)] == said or any("\ufffd" in text for text in captions):
        return []  # what Parquet cannot hold was replaced when the file was written
    return ["captions: the candidates of the per-sample file are not those that were scored"]


SPEC = TaskSpec(
    name="caption-eval",
    definition="captions scored against references: BLEU, ROUGE-L, METEOR, CIDEr, CLIPScore",
    family="captions",
    protocol=CaptionProtocol,
    detail=CaptionDetail,
    columns=(("candidate", "references"),),
    verify=wrong_captions,
    request="vlmbench.tasks.captions.evaluate:CaptionEvalRequest",
    check="vlmbench.tasks.captions.evaluate:check_caption_eval",
    run="vlmbench.tasks.captions.evaluate:run_caption_eval",
    command="vlmbench.cli.caption_eval:command",
    table="vlmbench.report.tables.captions:captions_table",
)
