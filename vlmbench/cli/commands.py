"""The commands, each with its module and its line on the help page."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple


class CommandEntry(NamedTuple):
    """A command: its module (which has a function `command`) and its line on the help page."""

    module: str
    line: str


# In the order of the help page. A command is listed here once it works.
COMMANDS: dict[str, CommandEntry] = {
    "zeroshot": CommandEntry(
        "vlmbench.cli.zeroshot", "Zero-shot classification by a dual encoder: no labels, only class names."
    ),
    "linear-probe": CommandEntry(
        "vlmbench.cli.linear_probe",
        "Logistic regression on frozen features, and how many labels it needs to match zero-shot.",
    ),
    "retrieval": CommandEntry(
        "vlmbench.cli.retrieval", "Image-text retrieval: recall at 1, 5 and 10 in both directions."
    ),
    "predict": CommandEntry(
        "vlmbench.cli.predict", "Predict class labels and probabilities for images with a saved probe."
    ),
    "caption-eval": CommandEntry(
        "vlmbench.cli.caption_eval", "Score captions: BLEU, ROUGE-L, METEOR and CIDEr, with intervals and paired tests."
    ),
    "caption": CommandEntry("vlmbench.cli.caption", "Caption images with any captioner; writes COCO results JSON."),
    "compare": CommandEntry("vlmbench.cli.compare", "Compare runs: tables with paired tests between systems."),
    "check": CommandEntry("vlmbench.cli.check", "The regression gate: is anything worse than in the baseline?"),
    "verify": CommandEntry("vlmbench.cli.verify", "Recompute every figure from its per-sample file."),
    "power": CommandEntry("vlmbench.cli.power", "How many test images does it take to tell two systems apart?"),
    "metric-eval": CommandEntry(
        "vlmbench.cli.metric_eval", "Do the caption metrics agree with people? Kendall's tau with human ratings."
    ),
    "embed": CommandEntry("vlmbench.cli.embed", "Write image features to a file, whole or in shards."),
    "run": CommandEntry("vlmbench.cli.run", "Run a plan: a grid of commands in a TOML file, in one session."),
    "list": CommandEntry("vlmbench.cli.list", "List datasets, models, metrics, prompt sets, heads and tasks."),
    "demo": CommandEntry(
        "vlmbench.cli.demo", "Run the whole main job on the bundled models and datasets: no network, no Java."
    ),
    "doctor": CommandEntry(
        "vlmbench.cli.doctor", "Check this machine: what is there, what is missing, the command that fixes it."
    ),
}


def command_of(name: str) -> Callable[..., Any]:
    """A command's function: one of `COMMANDS`, or that of a task of another package."""
    if name not in COMMANDS:
        from vlmbench.api.plans import task_spec

        found: Callable[..., Any] = task_spec(name).load("command")
    else:
        found = import_module(COMMANDS[name].module).command
    return found
