"""The result record: a number, and everything that decided it.

A record is a pure function of the inputs: time, host and speed are in ``run.json`` instead, so that the
same run gives the same bytes. Fractions are 0 to 1, CIDEr 0 to 10.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from vlmbench.records.task import Fields, TaskDetail, TaskProtocol, TaskSpec, task_spec

SCHEMA_VERSION: Final = 2
LARGEST: Final = 1e12


def _finite(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        raise ValueError("a figure must be a finite number")
    if isinstance(value, float) and abs(value) > LARGEST:
        raise ValueError(f"a figure is at most {LARGEST:g}")
    return value


Figure = Annotated[float, BeforeValidator(_finite)]


class FieldError(ValueError):
    """A field of `protocol` or `detail` has the wrong type; `place` is the field's path below it."""

    def __init__(self, said: str, place: tuple[int | str, ...]) -> None:
        super().__init__(said)
        self.place = place


class Frozen(BaseModel):
    """Immutable, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Metric(Frozen):
    """A figure with its 95 % interval (if it has none, the record's `detail` gives the reason)."""

    value: Figure
    low: Figure | None = None
    high: Figure | None = None


class ModelFacts(Frozen):
    """What decides a model's features: its source and the hash of its weights."""

    id: str
    revision: str | None = None
    weights_sha256: str
    kind: str
    """``dual-encoder``, ``backbone``, ``captioner``, ``asif`` …"""
    trust_remote_code: bool = False


class DatasetFacts(Frozen):
    """What decides a dataset's samples."""

    id: str
    revision: str | None = None
    fingerprint: str
    """Digest of ids, labels and image bytes, in order."""
    split: str
    skipped: tuple[str, ...] = ()
    """Ids of damaged images left out by ``--on-bad-image skip``."""


class Record(Frozen):
    """One row of a table: one system on one dataset under one protocol."""

    schema_version: Literal[2] = SCHEMA_VERSION
    task: str
    """One of `vlmbench.records.task.tasks`."""
    system: str
    """The name in tables: a model's alias, or a caption file's name."""
    model: ModelFacts | None = None
    dataset: DatasetFacts
    n: int = Field(ge=0)
    """Images scored."""
    shots: int | None = Field(default=None, ge=1)
    """Labelled images per class; None: the whole training split, or zero-shot."""
    seed: int
    protocol: SerializeAsAny[TaskProtocol] = Field(default_factory=TaskProtocol, validate_default=True)
    """What else decides the number, as its task's class: prompts, layer, precision, solver, backend …"""
    metrics: dict[str, Metric]
    detail: SerializeAsAny[TaskDetail] = Field(default_factory=TaskDetail, validate_default=True)
    """What explains the number, as its task's class: the strength search, per-class figures, bins …"""
    versions: dict[str, str] = Field(default_factory=dict)
    """Versions of the packages that can affect the number."""
    samples_sha256: str = ""
    """SHA-256 of ``samples.parquet`` next to the record."""
    signature: str = ""
    """Short signature line; filled when the record is written."""
    record_sha256: str = ""
    """SHA-256 of all the other fields as they stand in ``result.json``; filled when the record is written."""

    @field_validator("task")
    @classmethod
    def _known(cls, name: str) -> str:
        return task_spec(name).name

    @field_validator("protocol", "detail", mode="before")
    @classmethod
    def _of_task(cls, value: Any, info: ValidationInfo) -> Any:
        """Converts to the task's class; an error names the field."""
        if "task" not in info.data:
            return TaskProtocol() if info.field_name == "protocol" else TaskDetail()
        spec = task_spec(info.data["task"])
        kind: type[Fields] = spec.protocol if info.field_name == "protocol" else spec.detail
        if isinstance(value, kind):
            return value
        try:
            return kind.model_validate(value.given() if isinstance(value, Fields) else value)
        except ValidationError as error:
            first = error.errors()[0]
            raise FieldError(first["msg"], first["loc"]) from error

    @property
    def spec(self) -> TaskSpec:
        """The record's task."""
        return task_spec(self.task)
