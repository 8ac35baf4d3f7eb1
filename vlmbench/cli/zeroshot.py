"""``vlmbench zeroshot``."""

from pathlib import Path
from typing import Annotated

from vlmbench.cli.options.common import PROMPTS, Common, chosen, lines, option, with_common
from vlmbench.cli.options.data import ClassMap, Corrupt, Group, Holdout, Limit, Metric, Split


@with_common
def command(
    common: Common,
    model: Annotated[
        list[str],
        option("-m", "--model", help="Alias, hub id (owner/name@revision) or ./directory; repeat for several."),
    ],
    dataset: Annotated[
        list[str], option("-d", "--dataset", help="Name, hf:owner/name[:config] or folder:PATH; repeat for several.")
    ],
    split: Split = None,
    limit: Limit = None,
    prompts: Annotated[
        list[str] | None,
        option("--prompts", callback=lines, help=PROMPTS + "Repeat for one row each. (default: 'a photo of a {}.')"),
    ] = None,
    classnames: Annotated[
        str | None,
        option(
            "--classnames",
            metavar="FILE|wds",
            help="Class names instead of the dataset's: .txt, one line per class, or .json; wds: those of its copy in "
            "CLIP_benchmark's collection, put in the dataset's order.",
        ),
    ] = None,
    metric: Metric = None,
    corrupt: Corrupt = None,
    holdout: Holdout = None,
    group: Group = None,
    class_map: ClassMap = None,
    boxes: Annotated[
        Path | None,
        option(
            "--boxes",
            metavar="FILE",
            help="COCO instances JSON: classify its boxes in the images of -d (folder:DIR may be flat); each by the "
            "mean embedding of its 1x and 1.5x crops, as ViLD.",
        ),
    ] = None,
    tiles: Annotated[
        int | None,
        option(
            "--tiles",
            metavar="N",
            help="Score the whole image and N tiles (2 to 64); each class takes its best. The grid is the one with N "
            "tiles that are closest to squares.",
        ),
    ] = None,
) -> None:
    """Zero-shot classification by a dual encoder (CLIP, SigLIP …): no labels, only class names.

    Example: [bold]vlmbench zeroshot -m tiny-clip -d digits -d shapes[/bold]

    Example: [bold]vlmbench zeroshot -m tiny-clip -d folder:val2017 --boxes instances_val2017.json[/bold]
    """
    options = chosen(locals(), model="models", dataset="datasets")
    import vlmbench

    common.run(vlmbench.zeroshot, **options)
