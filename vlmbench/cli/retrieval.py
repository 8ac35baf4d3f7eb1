"""``vlmbench retrieval``."""

from typing import Annotated

from vlmbench.cli.options.common import Common, option, with_common


@with_common
def command(
    common: Common,
    model: Annotated[list[str], option("-m", "--model", help="Alias, hub id or ./directory; repeat for several.")],
    dataset: Annotated[list[str], option("-d", "--dataset", help="A captioned set; repeat for several.")],
    split: Annotated[str | None, option("--split", help="(default: test, else the only one)")] = None,
    limit: Annotated[int | None, option("--limit", min=1, help="Use N randomly sampled images (see --seed).")] = None,
    captions: Annotated[int | None, option("--captions", min=1, help="Use at most N captions per image.")] = None,
    rerank: Annotated[
        int | None, option("--rerank", min=1, help="Re-rank the N nearest with BLIP's image-text matching head.")
    ] = None,
) -> None:
    """Image-text retrieval by a dual encoder: recall at 1, 5 and 10 in both directions.

    Example: [bold]vlmbench retrieval -m tiny-clip -d scenes[/bold]
    """
    import vlmbench

    common.run(vlmbench.retrieval, model, dataset, split=split, limit=limit, captions=captions, rerank=rerank)
