"""``vlmbench retrieval``."""

from typing import Annotated

from vlmbench.cli.options.common import Common, chosen, option, with_common
from vlmbench.cli.options.data import Limit, Split


@with_common
def command(
    common: Common,
    model: Annotated[list[str], option("-m", "--model", help="Alias, hub id or ./directory; repeat for several.")],
    dataset: Annotated[list[str], option("-d", "--dataset", help="A captioned set; repeat for several.")],
    split: Split = None,
    limit: Limit = None,
    captions: Annotated[int | None, option("--captions", min=1, help="Use at most N captions per image.")] = None,
    rerank: Annotated[
        int | None, option("--rerank", min=1, help="Re-rank the N nearest with BLIP's image-text matching head.")
    ] = None,
) -> None:
    """Image-text retrieval by a dual encoder: recall at 1, 5 and 10 in both directions.

    Example: [bold]vlmbench retrieval -m tiny-clip -d scenes[/bold]
    """
    options = chosen(locals(), model="models", dataset="datasets")
    import vlmbench

    common.run(vlmbench.retrieval, **options)
