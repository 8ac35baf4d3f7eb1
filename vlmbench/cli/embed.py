"""``vlmbench embed``."""

from typing import Annotated

from vlmbench.cli.options.common import Common, option, with_common
from vlmbench.cli.options.data import Limit, Split


@with_common
def command(
    common: Common,
    model: Annotated[str, option("-m", "--model", help="Alias, hub id or ./directory.")],
    dataset: Annotated[str, option("-d", "--dataset", help="Name, hf:owner/name, folder:PATH or file:PATH.")],
    split: Split = None,
    layer: Annotated[
        str | None, option("--features-layer", help="proj or pre_proj (default: proj if there is one)")
    ] = None,
    limit: Limit = None,
    shard: Annotated[str | None, option("--shard", help="i/n: only the i-th of n parts, for a cluster.")] = None,
) -> None:
    """Write image features to a safetensors file, with ids, labels and settings in a JSON file.

    Example: [bold]vlmbench embed -m tiny-clip -d digits --shard 1/4[/bold]
    """
    import vlmbench
    from vlmbench.cli.console import print_json

    options = {"split": split, "features_layer": layer, "limit": limit, "shard": shard}
    found = vlmbench.embed(model, dataset, **options, **common.arguments())  # type: ignore[arg-type]
    if common.json:
        print_json(found.to_dict())
    else:
        print(f"{found.path}: {found.n:,} x {found.width} ({found.layer})")
