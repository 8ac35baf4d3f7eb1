"""The options that each command uses: an option that would have no effect is an error, never ignored.

A command has one or more modes (``caption-eval`` scores files, or generates captions first); each lists the options
it uses. Some options work only with others (``--clip`` if CLIPScore is requested). An option on the command
line, or in a plan, without effect is a usage error that names it and the mode; one from the environment is
meant for all commands and is ignored. The common options are for every command, and are rejected only if
something else must be meant.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import typer

Values = Mapping[str, Any]
LOGISTIC = "logistic"
"""The head with settings of its own among the options."""


@dataclass(frozen=True)
class Need:
    """What an option needs to have an effect.

    Attributes:
        options: the parameters' names.
        words: what uses them, and how to request it.
        met: whether the values of a call request it.
    """

    options: str
    words: str
    met: Callable[[Values], bool]


@dataclass(frozen=True)
class Mode:
    """A mode of a command.

    Attributes:
        words: its name in messages.
        uses: the names of the parameters it uses.
        by: the parameters that select it; None: the default mode.
        needs: those that only work with others.
        never: common options that it does not use and that may be confused with another, each with an explanation.
    """

    words: str
    uses: str
    by: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    never: Mapping[str, str] = field(default_factory=dict)


def _scores(*what: str) -> Callable[[Values], bool]:
    """Whether ``--metrics`` names one that needs something (`vlmbench.api.choices.caption_metrics`)."""

    def met(values: Values) -> bool:
        from vlmbench.api.choices import caption_metrics

        named = {part.strip().lower().replace("-", "_") for part in (values["metrics"] or "").split(",")}
        scored = caption_metrics(usual=True) if values["metrics"] is None else named
        return not set(scored).isdisjoint(caption_metrics(*what))

    return met


def _endpoint(name: str) -> Callable[[Values], bool]:
    def met(values: Values) -> bool:
        from vlmbench.api.captioning import captioner_kinds

        return any(kind.calls for kind in captioner_kinds(values[name] or ()))

    return met


def _draws_on_captions(values: Values) -> bool:
    from vlmbench.api.captioning import captioner_kinds

    return bool(values["shots"]) or any(kind.draws_on_captions for kind in captioner_kinds(values["model"]))


def _few(values: Values) -> bool:
    return any(part.strip().lower() != "all" for part in values["shots"].split(","))


def _heads(values: Values) -> set[str]:
    return set(values["head"] or [LOGISTIC])


def _strength(values: Values) -> bool:
    return bool(_heads(values) & {LOGISTIC, "zeroshot-init"})


def _all(values: Values) -> bool:
    return any(part.strip().lower() == "all" for part in values["shots"].split(","))


_SCORES = "dataset metrics clip backend resamples df_from novel_to split limit"
_DECODING = "prompt num_beams max_new_tokens temperature shots anchors concurrency timeout on_failure"
_NO_WORKERS = {"ray": "workers encode and caption datasets, and nothing else"}
_CIDER = Need("df_from", "CIDEr, which --metrics leaves out", _scores("documents"))
_CLIP = "CLIPScore, which --metrics leaves out"
_FEATURES = "shots seeds head c solver normalize refit figures save_probe metric target"
_PROBE_NEEDS = (
    Need("c solver", f"--head {LOGISTIC}", _strength),
    Need("target", "a few-shot curve: --shots 1,2,4,8,16,all", _few),
    Need("seeds", "few-shot samples: --shots 1,2,4,8,16", _few),
    Need("refit", "the probe on all labels: --shots all", _all),
)
_CAPTION_NEEDS = (
    Need("concurrency timeout", "a captioner endpoint:URL#MODEL", _endpoint("model")),
    Need("anchors", "retrieval:MODEL, asif:MODEL or --shots", _draws_on_captions),
)

MODES: dict[str, tuple[Mode, ...]] = {
    "zeroshot": (
        Mode(
            "zeroshot",
            "model dataset split limit prompts classnames holdout boxes tiles metric corrupt group class_map",
            needs=(Need("group", "--holdout SHARE", lambda values: values["holdout"] is not None),),
        ),
    ),
    "linear-probe": (
        Mode("linear-probe --features", f"features {_FEATURES}", ("features",), _PROBE_NEEDS, _NO_WORKERS),
        Mode("linear-probe --load-probe", "load_probe dataset limit metric class_map figures", ("load_probe",)),
        Mode(
            "linear-probe -m -d",
            f"model dataset {_FEATURES} features_layer init prompts limit holdout test_on class_map group corrupt",
            needs=(
                *_PROBE_NEEDS,
                Need("init", f"--head {LOGISTIC}", lambda values: _heads(values) == {LOGISTIC}),
                Need(
                    "prompts",
                    "zero-shot next to few-shot, --test-on or --corrupt, or a head that starts from text",
                    lambda values: (
                        _few(values)
                        or bool(values["test_on"] or values["corrupt"])
                        or str(values["init"]) == "zeroshot"
                        or _heads(values) != {LOGISTIC}
                    ),
                ),
            ),
        ),
    ),
    "retrieval": (Mode("retrieval", "model dataset split limit captions rerank"),),
    "predict": (
        Mode(
            "predict",
            "images probe format output",
            needs=(Need("format", "text on stdout or in --output, not --json", lambda values: not values["json"]),),
            never={"out": "predictions are written by --output FILE", "seed": "nothing is random", **_NO_WORKERS},
        ),
    ),
    "caption-eval": (
        Mode(
            "caption-eval --captioner",
            f"captioner {_SCORES} {_DECODING}",
            ("captioner",),
            (
                _CIDER,
                Need("clip", _CLIP, _scores("images")),
                Need("concurrency timeout", "a captioner endpoint:URL#MODEL", _endpoint("captioner")),
            ),
        ),
        Mode(
            "caption-eval -r -p",
            f"references candidates columns allow_missing allow_empty {_SCORES}",
            ("references", "candidates"),
            (
                _CIDER,
                Need("dataset clip", _CLIP, _scores("images")),
            ),
            _NO_WORKERS,
        ),
    ),
    "caption": (
        Mode("caption IMAGES", f"model images {_DECODING}", ("images",), _CAPTION_NEEDS, _NO_WORKERS),
        Mode("caption -d", f"model dataset split limit {_DECODING}", ("dataset",), _CAPTION_NEEDS),
    ),
    "compare": (
        Mode(
            "compare",
            "runs strict metric relative_to figures no_report eval_results export_to positive threshold columns "
            "no_intervals",
        ),
    ),
    "check": (
        Mode("check --update", "current baseline update", ("update",)),
        Mode("check", "current baseline tolerance level allow_missing junit gitlab"),
    ),
    "verify": (Mode("verify", "runs"),),
    "power": (Mode("power", "runs delta disagreement power"),),
    "metric-eval": (
        Mode(
            "metric-eval",
            "judgements references format metrics images clip resamples",
            needs=(Need("images clip", _CLIP, _scores("images")),),
            never=_NO_WORKERS,
        ),
    ),
    "embed": (Mode("embed", "model dataset split layer limit shard"),),
    "run": (Mode("run", "plan dry_run"),),
    "list": (Mode("list", "what words"),),
    "demo": (Mode("demo", "", never=_NO_WORKERS),),
    "doctor": (Mode("doctor", ""),),
}
"""A new option belongs into every mode that uses it; `tests/cli/test_modes.py` holds that each stands in one."""


def settle(ctx: typer.Context, values: dict[str, Any], defaults: Values) -> dict[str, Any]:
    """The values of a call without those that its mode does not use, which are at their defaults.

    Args:
        ctx: the call.
        values: of its parameters, by name.
        defaults: of the command's parameters.

    Raises:
        UsageError: an option on the command line has no effect.
    """
    modes = MODES.get(str(ctx.info_name), ())
    if not modes:
        return values
    typed = {name for name in values if _typed(ctx, name)}
    mode = _choose(modes, typed, values)
    known = {name for item in modes for name in (*item.uses.split(), *item.by)}
    idle = {name: _owner(name, modes) for name in values if name in known and name not in mode.uses.split()}
    for need in mode.needs:
        idle |= {} if need.met(values) else dict.fromkeys(need.options.split(), f"it is for {need.words}")
    for name, why in {**idle, **mode.never}.items():
        if name in typed:
            from vlmbench.foundations.errors import UsageError

            option = _spelled(ctx, name)
            raise UsageError(
                f"{option} has no effect in {mode.words} here: {why}", where=option, fix=f"leave out {option}"
            )
    return {**values, **{name: defaults[name] for name in {*idle, *mode.never} & {*defaults} & {*values}}}


def _choose(modes: tuple[Mode, ...], typed: set[str], values: Values) -> Mode:
    """The mode selected by options on the command line, else by those of the environment, else the default."""
    for there in (typed, {name for name, value in values.items() if value}):
        for mode in modes:
            if there & set(mode.by):
                return mode
    return modes[-1]


def _owner(name: str, modes: tuple[Mode, ...]) -> str:
    return f"it is for {' and '.join(mode.words for mode in modes if name in mode.uses.split())}"


def _typed(ctx: typer.Context, name: str) -> bool:
    source: Any = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _spelled(ctx: typer.Context, name: str) -> str:
    found = next((param for param in ctx.command.params if param.name == name), None)
    return max(found.opts, key=len) if found is not None else name
