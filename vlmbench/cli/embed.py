"""``vlmbench embed``."""

from typing import Annotated

from vlmbench.cli.options.common import Common, option, with_common


@with_common
def command(
    common: Common,
    model: Annotated[str, option("-m", "--model", help="Alias, hub id or ./directory.")],
    dataset: Annotated[str, option("-d", "--dataset", help="Name, hf:owner/name, folder:PATH or file:PATH.")],
    split: Annotated[str | None, option("--split", help="(default: test, else the only one)")] = None,
    layer: Annotated[
        str | None, option("--features-layer", help="proj or pre_proj (default: proj where there is one)")
    ] = None,
    limit: Annotated[int | None, option("--limit", min=1, help="Use N randomly sampled images (see --seed).")] = None,
    shard: Annotated[str | None, option("--shard", help="i/n: only the i-th of n parts, for a cluster.")] = None,
) -> None:
    """Image features to a safetensors file, with ids, labels and what made them beside it.

    Example: [bold]vlmbench embed -m tiny-clip -d digits --shard 1/4[/bold]
    """
    from vlmbench.cli.console import print_json
    from vlmbench.tasks.embed import EmbedRequest, parse_shard, run_embed

    request = EmbedRequest(model, dataset, split, layer, limit, parse_shard(shard))
    found = run_embed(request, common.context())
    if common.json:
        print_json(found)
    else:
        print(f"{found['path']}: {found['n']:,} x {found['width']} ({found['layer']})")
