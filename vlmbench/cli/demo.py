"""``vlmbench demo``."""

from vlmbench.cli.options.common import Common, with_common


@with_common
def command(common: Common) -> None:
    """Run the whole main job on the bundled models and datasets: no network, no Java, under two minutes.

    Zero-shot against a linear probe on digits, shapes and counting, four captioners on scenes, tables, a report, and
    a summary in one paragraph. The models are small and know a closed world: see their model cards.

    Example: [bold]vlmbench demo[/bold]
    """
    import vlmbench
    from vlmbench.cli.console import print_paragraph
    from vlmbench.cli.output import finish
    from vlmbench.foundations.paths import default_cache_dir

    runs = vlmbench.demo(**common.arguments())
    pictures = common.cache_dir or default_cache_dir()
    tables = finish(runs, common.out, as_json=common.json, quiet=common.quiet, pictures_from=pictures)
    if not common.json:
        print_paragraph(tables.in_words(runs))
