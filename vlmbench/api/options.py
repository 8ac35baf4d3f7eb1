"""Converts the API's arguments to one form; the commands use the same functions."""

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypedDict, Unpack, cast

from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.launch import Launch
from vlmbench.foundations.paths import default_cache_dir
from vlmbench.foundations.progress import Reporter
from vlmbench.foundations.shared import ADDRESS, OPTION, SharedCache
from vlmbench.foundations.text import visible
from vlmbench.session.context import DECODINGS, Context, go_offline

AnyPath = str | PathLike[str]
Names = AnyPath | Iterable[AnyPath]

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
ENGINES = ("auto", "torch", "openvino")
BAD_IMAGES = ("error", "skip")


class RunOptions(TypedDict, total=False):
    """The options of every function that runs something, with the commands' defaults."""

    out: AnyPath
    """Results directory; ``"results"``."""
    cache_dir: AnyPath | None
    """Feature store and indexes; None: the platform's cache directory."""
    shared_cache: str | None
    """An address that machines without a common disk share features and captions through, beside their ``cache_dir``:
    ``"s3://bucket/prefix"``, ``"gs://…"``, ``"file:///…"``, whatever fsspec knows (docs/cluster.md). None: none."""
    device: str
    """``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``."""
    precision: str
    """``"auto"`` (fp32 on a CPU, fp16 on a GPU), ``"fp32"``, ``"bf16"`` or ``"fp16"``."""
    engine: str
    """``"auto"`` (torch), ``"torch"`` or ``"openvino"`` (on a CPU; the extra ``vlmbench-eval[openvino]``)."""
    batch_size: int
    """Images per forward pass; 64."""
    workers: int | None
    """Threads that decode images beside the model (processes, from 4 on, beside a CUDA GPU); None: cores - 1, 8 at most
    (all cores beside a CUDA GPU)."""
    seed: int
    """Random seed for sampling, splits and resampling; 0."""
    decode: str
    """``"full"``; ``"reduced"``: a large photograph is decoded to a shorter side of 672 pixels or more, several times
    as fast; features differ slightly, and the record says so."""
    on_bad_image: str
    """``"error"``: a damaged image stops the run; ``"skip"``: it is left out and counted."""
    offline: bool
    """Use no network, for the rest of this process; like ``HF_HUB_OFFLINE=1``."""
    trust_remote_code: bool
    """Run Python code that comes with a checkpoint; the record says so."""
    reporter: Reporter | None
    """Receives progress, notes and warnings; None: nothing is printed."""
    ray: str | None
    """``"local"``, or the address of a Ray cluster: its workers encode images and generate captions. All of them see
    ``cache_dir`` (the extra ``vlmbench-eval[ray]``). None: this process does."""
    launch: Launch | None
    """One of several processes that make the same call and share its work (`vlmbench.foundations.launch.find_launch`);
    one of them returns the results, the others raise `LeftToOthers`. None: the only one."""


def run_context(**options: Unpack[RunOptions]) -> Context:
    """The options as a `Context`; `UsageError` where a value is not one of the choices, or too small."""
    known = {name: value for name, value in options.items() if value is not None}
    unknown = sorted(set(known) - set(RunOptions.__annotations__))
    if unknown:
        raise TypeError(f"unexpected keyword argument {unknown[0]!r}")
    for name, choices in (
        ("device", DEVICES),
        ("precision", PRECISIONS),
        ("engine", ENGINES),
        ("on_bad_image", BAD_IMAGES),
        ("decode", DECODINGS),
    ):
        choice(name, known.get(name, choices[0]), choices)
    for name, least in (("batch_size", 1), ("workers", 0), ("seed", 0)):
        at_least(name, known.get(name), least)
    for name in ("out", "cache_dir"):
        if name in known:
            known[name] = Path(fspath(known[name]))  # type: ignore[call-overload]
    if "cache_dir" in known and ADDRESS.match(cast("Path", known["cache_dir"]).as_posix()):
        raise UsageError("the cache directory is on a disk", where="--cache-dir", fix=f"{OPTION} ADDRESS beside it")
    if "shared_cache" in known:
        cache_dir = cast("Path", known.get("cache_dir", default_cache_dir()))
        shared = SharedCache(str(known.pop("shared_cache")), cache_dir)
        known["shared"] = shared if shared.local or not options.get("offline") else None
        if known["shared"] is None and (reporter := options.get("reporter")) is not None:
            reporter.note(f"the shared cache {visible(shared.address)} is not used: --offline")
    known.setdefault("workers", None)  # as many as suit the device
    if "ray" in known:
        from vlmbench.tasks.cluster.pool import Cluster

        known["pool"] = Cluster(str(known.pop("ray")))
    if known.get("offline"):
        go_offline()
    return Context(**known)  # type: ignore[arg-type]


def at_least(name: str, value: object, least: int = 1) -> None:
    """Rejects anything but whole numbers from `least` up, or None, with a `UsageError`."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
        raise _wrong(name, value, f"give a whole number, at least {least}")


def share(name: str, value: float | None) -> float | None:
    """A number between 0 and 1, or None; `UsageError` where it is neither."""
    if value is None or 0 < value < 1:
        return value
    raise _wrong(name, value, "a number between 0 and 1, such as 0.95")


def choice(name: str, value: object, choices: Sequence[str | None]) -> None:
    """Rejects anything but the choices with a `UsageError`."""
    if value not in choices:
        raise _wrong(name, value, f"one of {', '.join(item for item in choices if item is not None)}")


def _wrong(name: str, value: object, fix: str) -> UsageError:
    option = f"--{name.replace('_', '-')}"
    return UsageError(f"{option} is {visible(repr(value))}", where=option, fix=fix)


def names(given: Names | None) -> list[str]:
    """One name or several, as a list; a path stays a path, so that it is never taken for a model's name."""
    items = [] if given is None else [given] if isinstance(given, str | PathLike) else list(given)
    plain = [isinstance(item, str) or Path(item).is_absolute() for item in items]
    return [fspath(item) if whole else f"./{fspath(item)}" for item, whole in zip(items, plain, strict=True)]


def path(given: AnyPath | None) -> Path | None:
    """A path, or None."""
    return None if given is None else Path(fspath(given))


def text(given: AnyPath | None) -> str | None:
    """A name or a path as text, or None."""
    return None if given is None else fspath(given)


def shots(given: str | int | Iterable[str | int | None] | None) -> list[int | None]:
    """Labels per class: ``"1,2,all"``, 4, or ``[1, 2, "all"]`` as [1, 2, None]; none stands for all. Raises
    `UsageError` where a part is neither a number above 0 nor ``all``."""
    parts = (
        given.split(",") if isinstance(given, str) else [given] if given is None or isinstance(given, int) else given
    )
    found: list[int | None] = []
    for part in parts:
        word = "all" if part is None else str(part).strip().lower()
        if word != "all" and not (word.isascii() and word.isdigit() and int(word) > 0):
            raise UsageError(
                f"{word!r} is not a number of labels per class",
                where="--shots",
                fix="--shots 1,2,4,8,16,all",
            )
        found.append(None if word == "all" else int(word))
    return found


def strength(given: str | float) -> float | None:
    """``auto`` as None, else a number above 0; `UsageError` where it is neither."""
    if isinstance(given, str) and given.strip().lower() == "auto":
        return None
    try:
        value = float(given)
    except (TypeError, ValueError):
        value = -1.0
    if not 0 < value < float("inf"):
        raise UsageError(
            f"{visible(repr(given))} is neither auto nor a number above 0",
            where="--c",
            fix="--c auto, or --c 0.316",
        )
    return value


def tolerances(given: float | Mapping[str, float] | None) -> dict[str, float]:
    """The allowed drop by metric, 0 to 10 (else `UsageError`); under an empty name, for every other metric."""
    found = dict(given) if isinstance(given, Mapping) else {} if given is None else {"": given}
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10:
            raise not_a_tolerance(f"{name}={value}" if name else str(value))
    return found


def not_a_tolerance(given: str) -> UsageError:
    """The error for an invalid tolerance."""
    return UsageError(
        f"not a tolerance: {visible(given)}",
        where="--tolerance",
        fix="a number from 0 to 10, for each metric or for one: accuracy=0.01",
    )


def require_tolerances(requested: Mapping[str, float], present: set[str]) -> None:
    """Checks names and sizes: a mistyped metric would not be gated, and a tolerance in points allow any drop.

    `requested` are tolerances by metric, `present` the metrics of the runs; others can be named where ``vlmbench list
    metrics`` has them. Raises `UsageError` where there is no such metric, or its whole range is tolerated.
    """
    if not set(requested) - {""}:
        return
    from vlmbench.foundations.plugins import nearest
    from vlmbench.metrics.spec import specs

    for name, spec in specs().items():
        low, high = spec.range
        if requested.get(name, 0) >= high - low:
            what = f"a tolerance of {requested[name]:g} allows any drop: {name} goes from {low:g} to {high:g}"
            raise UsageError(what, where="--tolerance", fix=f"five points are {name}=0.05")
    known = sorted(present | set(specs()))
    for name in sorted(set(requested) - {"", *known}):
        fix = nearest(name, known, "vlmbench list metrics")
        raise UsageError(f"no such metric: {visible(name)}", where="--tolerance", fix=fix)


def references_of(given: AnyPath | Mapping[Any, Sequence[str]], what: str = "references") -> Any:
    """References by image, as in a file, checked by `caption_lists`; a path or the name of a dataset stays text."""
    from vlmbench.data.captions.read import References
    from vlmbench.metrics.captions.inputs import caption_lists

    if not isinstance(given, Mapping):
        return fspath(given)
    return References("captions", "", caption_lists(given, what), f"the {what} that were passed")


def candidates_of(given: Any) -> list[Any]:
    """Systems: paths as text, and captions by image as in a file.

    `given` is a path (``NAME=PATH`` names the system); ``{image: caption}``; several paths; or ``{system: captions}``,
    where captions are ``{image: caption}`` or a `pathlib.Path`. A value that is no caption is an `InputError`.
    """
    if isinstance(given, str | PathLike):
        return [fspath(given)]
    if not isinstance(given, Mapping):
        return [fspath(item) for item in given]
    inside = list(given.values())
    if all(isinstance(item, Mapping | PathLike) for item in inside) and inside:
        return [
            f"{name}={fspath(item)}" if isinstance(item, PathLike) else _system(str(name), item)
            for name, item in given.items()
        ]
    return [_system("candidates", given)]


def _system(name: str, captions: Mapping[Any, Any]) -> Any:
    from vlmbench.data.captions.read import Candidates

    for image, caption in captions.items():
        if not isinstance(caption, str):
            raise InputError(
                f"a value of type {type(caption).__name__} instead of a caption",
                where=f"{visible(name)}, image {visible(str(image))[:80]}",
                fix='{"42": "a dog runs"}, or {"system": {"42": "a dog runs"}}',
            )
    found = {str(image): caption for image, caption in captions.items()}
    return Candidates(name, "", found, f"the captions of {name}")
