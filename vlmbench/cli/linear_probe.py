"""``vlmbench linear-probe``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from vlmbench.cli.options.common import PROMPTS, Common, chosen, lines, option, with_common
from vlmbench.cli.options.data import ClassMap, Corrupt, Group, Holdout, Limit, Metric


class Solver(StrEnum):
    """The solver of the probe."""

    native = "native"
    sklearn = "sklearn"


class Layer(StrEnum):
    """Where features are taken."""

    pre_proj = "pre_proj"
    proj = "proj"


class Init(StrEnum):
    """Where the probe starts, and what it is regularized towards."""

    zero = "zero"
    zeroshot = "zeroshot"


@with_common
def command(
    common: Common,
    model: Annotated[
        list[str] | None,
        option("-m", "--model", help="Alias, hub id or ./directory; a dual encoder or a plain backbone."),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        option("-d", "--dataset", help="Name, hf:owner/name[:config] or folder:PATH."),
    ] = None,
    features: Annotated[
        Path | None,
        option(
            "--features",
            help="Your own features instead: .npz or .safetensors with x_train y_train [x_val y_val] x_test y_test.",
        ),
    ] = None,
    shots: Annotated[str, option("--shots", help="Labels per class, comma-separated: 1,2,4,8,16,all.")] = "all",
    seeds: Annotated[int, option("--seeds", min=1, help="Number of random few-shot samples to average over.")] = 5,
    head: Annotated[
        list[str] | None,
        option(
            "--head",
            help="The classifier, NAME or NAME?setting=value, see vlmbench list heads; can be given several times. "
            "(default: logistic)",
        ),
    ] = None,
    c: Annotated[
        str,
        option(
            "--c",
            help="Inverse regularization strength C = 1/λ, as in scikit-learn; auto: chosen on the validation split.",
        ),
    ] = "auto",
    solver: Annotated[
        Solver, option("--solver", help="vlmbench's own L-BFGS, or scikit-learn's for comparison.")
    ] = Solver.native,
    refit: Annotated[
        bool,
        option("--refit/--no-refit", help="Refit on train+val with the chosen strength, as CLIP's paper does."),
    ] = False,
    init: Annotated[
        Init,
        option(
            "--init",
            help="zeroshot: the same as --head zeroshot-init.",
        ),
    ] = Init.zero,
    features_layer: Annotated[
        Layer | None,
        option(
            "--features-layer", help="Before or after the projection. (default: pre_proj; proj for heads with text)"
        ),
    ] = None,
    normalize: Annotated[bool, option("--normalize/--no-normalize", help="Scale features to unit length.")] = False,
    prompts: Annotated[
        list[str] | None,
        option(
            "--prompts", callback=lines, help="Prompts for the zero-shot comparison and for heads with text. " + PROMPTS
        ),
    ] = None,
    limit: Limit = None,
    metric: Metric = None,
    target: Annotated[
        float | None,
        option("--target", help="Also say how many labels per class this figure (0.95) takes, by the few-shot curve."),
    ] = None,
    holdout: Holdout = None,
    test_on: Annotated[
        list[str] | None,
        option(
            "--test-on",
            metavar="DATASET",
            help="Another test set, with zero-shot beside it; family: those of the training set's family.",
        ),
    ] = None,
    class_map: ClassMap = None,
    group: Group = None,
    corrupt: Corrupt = None,
    figures: Annotated[
        bool, option("--figures/--no-figures", help="Curve, confusion matrix, reliability diagram under OUT/figures.")
    ] = True,
    save_probe: Annotated[
        Path | None,
        option(
            "--save-probe", help="Save the probe with the most labels as FILE.safetensors, for predict, --load-probe."
        ),
    ] = None,
    load_probe: Annotated[
        Path | None,
        option("--load-probe", metavar="FILE", help="Score a saved probe on the images of -d; none is trained."),
    ] = None,
) -> None:
    """Logistic regression on frozen features: with all labels, or with a few per class.

    Few-shot runs also report the labels per class needed to match zero-shot. Examples:
    [bold]vlmbench linear-probe -m tiny-clip -d digits --shots 1,2,4,8,16,all[/bold]
    and [bold]vlmbench linear-probe --features mine.npz[/bold]
    """
    options = chosen(locals(), model="models", dataset="datasets")
    import vlmbench

    common.run(vlmbench.linear_probe, **options)
