"""``vlmbench demo``."""

from vlmbench.cli.options.common import Common, with_common


@with_common
def command(common: Common) -> None:
    """The whole main job on what ships with the package: no network, no Java, under two minutes.

    Zero-shot against a linear probe on digits, shapes and counting, four captioners on scenes, tables, a report, and
    one paragraph that reads them. The models are small and know a closed world: see their model cards.

    Example: [bold]vlmbench demo[/bold]
    """
    from vlmbench.cli.console import print_paragraph
    from vlmbench.cli.output import finish
    from vlmbench.report.reading import read_tables
    from vlmbench.session.context import go_offline
    from vlmbench.tasks.demo import run_demo

    go_offline()
    context = common.context()
    runs = run_demo(context)
    tables = finish(runs, common.out, as_json=common.json, quiet=common.quiet, pictures_from=context.cache_dir)
    if not common.json:
        print_paragraph(read_tables([table.with_runs(runs) for table in tables]))
