"""Options that several commands share, each written once.

A command takes `common: Common` and is wrapped by `with_common`, which replaces that one parameter by the options
below; they read ``VLMBENCH_<OPTION>`` as every option does. Nothing here imports more than typer.
"""

import functools
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

if TYPE_CHECKING:
    from vlmbench.api.jobs import Writes
    from vlmbench.api.options import RunOptions

COMMON = "Common options"
TERMINAL = ("json", "quiet", "debug")
"""Common options that say nothing of the runs."""


class Device(StrEnum):
    """Where models run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    all = "cuda:all"
    mps = "mps"


class Precision(StrEnum):
    """The floating-point type models run in; auto: fp32 on a CPU, fp16 on a GPU."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class Engine(StrEnum):
    """What runs the encoders."""

    auto = "auto"
    torch = "torch"
    openvino = "openvino"


DECIDING, CAPTIONS = "{deciding metrics}", "{caption metrics}"
"""Stand in a help text for the names of metrics, which are looked up when help is shown and not before."""


def metric_choices() -> dict[str, list[str]]:
    """The names of metrics by what stands for them."""
    from vlmbench.api.choices import caption_metrics, deciding_metrics

    return {DECIDING: deciding_metrics(), CAPTIONS: caption_metrics()}


def deciding_metric(value: str | None) -> str | None:
    """The value of ``--metric``, if it can be the main metric."""
    from vlmbench.foundations.plugins import nearest

    names = [] if value is None else metric_choices()[DECIDING]
    if value is not None and value not in names:
        near = nearest(value, names, f"one of {', '.join(names)}")
        raise typer.BadParameter(f"{value!r} is no such metric: {near}")
    return value


class BadImage(StrEnum):
    """What to do with an image that cannot be decoded."""

    error = "error"
    skip = "skip"


class Decode(StrEnum):
    """How large photographs are decoded."""

    full = "full"
    reduced = "reduced"


COMPLETED = {
    **dict.fromkeys(("--model", "--captioner", "--clip"), "models"),
    **dict.fromkeys(("--dataset", "--test-on", "--anchors"), "datasets"),
    **dict.fromkeys(("--metric", "--metrics"), "metrics"),
    "--prompts": "prompts",
    "--head": "heads",
}
"""Options whose values a shell completes, and the list (``vlmbench list``) that has them."""


def _completion(what: str) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        import vlmbench

        before, comma, _ = incomplete.rpartition(",")
        rows = getattr(vlmbench, f"list_{what}")()
        return [f"{before}{comma}{row['name']}" for row in rows if not row["name"].endswith(":…")]

    return complete


def option(*names: str, help: str, panel: str | None = None, **more: Any) -> Any:
    """`typer.Option` with the environment variable that the contract promises."""
    long = next(name for name in names if name.startswith("--"))
    if long in COMPLETED:
        more["autocompletion"] = _completion(COMPLETED[long])
    env = "VLMBENCH_" + long.split("/")[0].lstrip("-").upper().replace("-", "_")
    return typer.Option(*names, help=help, envvar=env, show_envvar=False, rich_help_panel=panel, **more)


def lines(ctx: typer.Context, param: typer.CallbackParam, value: list[str] | None) -> list[str] | None:
    """A repeated option whose values contain spaces: its environment variable has one value per line."""
    source = ctx.get_parameter_source(str(param.name))
    if source is None or source.name != "ENVIRONMENT":
        return value
    return os.environ[str(param.envvar)].splitlines()


PROMPTS = (
    "A set (vlmbench list prompts), a .txt or .json file, or a template such as 'a photo of a {}.'. A comma separates "
    "names of sets and files, but does not split a template. "
)


@dataclass(frozen=True)
class Common:
    """The common options, as every command that runs something takes them."""

    out: Annotated[Path, option("-o", "--out", help="Results directory.", panel=COMMON)] = Path("results")
    cache_dir: Annotated[
        Path | None,
        option(
            "--cache-dir", help="Feature store and indexes (default: the platform's cache directory).", panel=COMMON
        ),
    ] = None
    shared_cache: Annotated[
        str | None,
        option(
            "--shared-cache",
            metavar="ADDRESS",
            help="Share features and captions with other machines through s3://BUCKET/PREFIX, gs://… or any other "
            "address that fsspec knows (docs/cluster.md).",
            panel=COMMON,
        ),
    ] = None
    device: Annotated[Device, option("--device", help="Where models run; cuda:all: on all GPUs.", panel=COMMON)] = (
        Device.auto
    )
    precision: Annotated[Precision, option("--precision", help="auto: fp32 on a CPU, fp16 on a GPU.", panel=COMMON)] = (
        Precision.auto
    )
    engine: Annotated[
        Engine,
        option(
            "--engine",
            help="What runs the encoders; auto: torch. openvino: faster on a CPU (vlmbench-eval[openvino]).",
            panel=COMMON,
        ),
    ] = Engine.auto
    batch_size: Annotated[int, option("--batch-size", min=1, help="Images per forward pass.", panel=COMMON)] = 64
    workers: Annotated[
        int | None,
        option(
            "--workers",
            min=0,
            help="Threads (beside a CUDA GPU, from 4 on: processes) that decode images in the background; 0: none. "
            "(default: cores - 1, 8 at most; beside a CUDA GPU all cores)",
            panel=COMMON,
        ),
    ] = None
    seed: Annotated[
        int, option("--seed", min=0, help="Random seed for sampling, splits and resampling.", panel=COMMON)
    ] = 0
    decode: Annotated[
        Decode,
        option(
            "--decode",
            help="reduced: decode a large photograph to a shorter side of at least 672 pixels, several times as fast; "
            "features differ slightly, and the record says so.",
            panel=COMMON,
        ),
    ] = Decode.full
    on_bad_image: Annotated[
        BadImage,
        option(
            "--on-bad-image",
            help="error: a damaged image stops the run; skip: it is left out and counted.",
            panel=COMMON,
        ),
    ] = BadImage.error
    offline: Annotated[bool, option("--offline", help="Use no network, like HF_HUB_OFFLINE=1.", panel=COMMON)] = False
    trust_remote_code: Annotated[
        bool,
        option(
            "--trust-remote-code",
            help="Run Python code that comes with a checkpoint; the record says so.",
            panel=COMMON,
        ),
    ] = False
    ray: Annotated[
        str | None,
        option(
            "--ray",
            metavar="[ADDRESS]",
            help="Encode and caption by workers on a Ray cluster whose machines see --cache-dir: HOST:PORT, "
            "ray://HOST:PORT or auto; without an address, on this machine alone (vlmbench-eval[ray]).",
            panel=COMMON,
        ),
    ] = None
    json: Annotated[
        bool, option("--json", help="Print one JSON document to stdout and nothing else.", panel=COMMON)
    ] = False
    quiet: Annotated[bool, option("-q", "--quiet", help="Hide progress bars and notes.", panel=COMMON)] = False
    debug: Annotated[bool, option("--debug", help="Show tracebacks.", panel=COMMON)] = False

    def arguments(self) -> "RunOptions":
        """The same as the API takes them, with a reporter that draws on stderr."""
        from vlmbench.cli.console import Console
        from vlmbench.foundations.launch import find_launch

        own = {item.name: getattr(self, item.name) for item in fields(Common) if item.name not in TERMINAL}
        launch = find_launch(command=repr(sys.argv[1:])) if self.ray is None else None
        return cast("RunOptions", {**chosen(own), "reporter": Console(quiet=self.quiet), "launch": launch})

    def run(self, function: "Writes[...]", *arguments: Any, **options: Any) -> None:
        """Calls a function of the API, writes the tables and prints the results."""
        from vlmbench.cli.output import finish

        finish(function(*arguments, **options, **self.arguments()), self.out, as_json=self.json, quiet=self.quiet)


def chosen(values: Mapping[str, Any], **renamed: str) -> dict[str, Any]:
    """A command's own options (its ``locals()``) as its function of the API takes them.

    Args:
        values: all the command was called with.
        renamed: of an option that the function calls something else, its name there.
    """
    own = {name: value for name, value in values.items() if name != "common"}
    return {renamed.get(name, name): value.value if isinstance(value, Enum) else value for name, value in own.items()}


def with_common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Replaces the parameter `common` of a command by the fields of `Common`, each an option of its own.

    Before the command is called, its options are checked for those without effect
    (`vlmbench.cli.modes.settle`).
    """
    return _with(command, [item.name for item in fields(Common)])


def with_basics(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a command that runs no model: `BASICS` only, the rest of `common` at its defaults."""
    return _with(command, BASICS)


BASICS = ["out", "cache_dir", "offline", "json", "quiet", "debug"]


def with_some(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The same with the options named, the rest of `common` at its defaults."""
    return lambda command: _with(command, list(names))


def with_given(command: Callable[..., Any], common: Common) -> Callable[..., Any]:
    """The same with common options that are known already: none of them is an option of the command."""
    return _with(command, [], lambda: common)


def _with(command: Callable[..., Any], names: list[str], make: Callable[..., Common] = Common) -> Callable[..., Any]:
    from vlmbench.cli.modes import settle

    signature = inspect.signature(command, eval_str=True)
    own = own_options(command)
    known = [*own.values(), *options_of(Common)]
    defaults = {item.name: item.default for item in known if item.default is not item.empty}
    groups = {name: item.annotation for name, item in signature.parameters.items() if _is_group(item)}

    @functools.wraps(command)
    def wrapped(ctx: typer.Context, **given: Any) -> Any:
        given = settle(ctx, given, defaults)
        common = make(**{name: given.pop(name) for name in names})
        given |= {
            name: group(**{item.name: given.pop(item.name) for item in fields(group)}) for name, group in groups.items()
        }
        if "ctx" in signature.parameters:
            given["ctx"] = ctx
        if common.device is Device.all:
            common = replace(common, device=_on_all_gpus(str(ctx.info_name), common))
        return command(common=common, **given)

    called = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    shared = [item for item in options_of(Common) if item.name in names]
    parameters = [called, *own.values(), *shared]
    wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {item.name: item.annotation for item in parameters}
    return wrapped


ALONE = ("caption", "caption-eval", "predict", "metric-eval", "demo")
"""Commands that do not share their work with other processes."""


def _on_all_gpus(command: str, common: Common) -> Device:
    """Starts a process of this command for each GPU, and ends with their exit code; where this is one of these
    processes, workers do the work, or there is one GPU, gives the device of a process.

    Raises:
        UsageError: the command does not share its work.
        AbsentError: there is no GPU.
    """
    from vlmbench.foundations.errors import UsageError
    from vlmbench.foundations.launch import find_launch, run_all

    if common.ray is not None or find_launch() is not None:
        return Device.cuda
    if command in ALONE:
        shared = "--ray --device cuda" if command in ALONE[:2] else "--device cuda"
        raise UsageError(f"{command} runs in one process", where="--device cuda:all", fix=shared)
    from vlmbench.api.choices import gpus

    count = gpus()
    if count == 1:
        return Device.cuda
    raise SystemExit(run_all(count))


def own_options(command: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The options and arguments of a command, as it was written, by name; a group (a parameter whose type is a
    dataclass of options) as its options, `common` left out."""
    found: dict[str, inspect.Parameter] = {}
    for item in inspect.signature(command, eval_str=True).parameters.values():
        own = options_of(item.annotation) if _is_group(item) else [item.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
        found |= {option.name: option for option in own if option.name not in ("common", "ctx")}
    return found


def options_of(group: type) -> list[inspect.Parameter]:
    """The fields of a group as parameters of a command."""
    parameters = inspect.signature(group, eval_str=True).parameters.values()
    return [item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in parameters]


def _is_group(item: inspect.Parameter) -> bool:
    return is_dataclass(item.annotation) and item.name != "common"
