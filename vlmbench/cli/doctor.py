"""``vlmbench doctor``."""

from vlmbench.cli.options.common import Common, with_basics


@with_basics
def command(common: Common) -> int:
    """What this machine has, what is missing, and the command that fixes it.

    Example: [bold]vlmbench doctor[/bold]
    """
    from dataclasses import asdict

    from vlmbench.cli.console import print_json, print_table
    from vlmbench.foundations.errors import EXIT_ABSENT, EXIT_OK
    from vlmbench.foundations.paths import default_cache_dir
    from vlmbench.tasks.doctor import examine

    findings = examine(common.cache_dir or default_cache_dir(), common.out)
    if common.json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        rows = [(finding.what, finding.state, finding.detail, finding.fix) for finding in findings]
        print_table("vlmbench doctor", ("", "state", "found", "fix"), rows, left=4)
    return EXIT_ABSENT if any(finding.state == "broken" for finding in findings) else EXIT_OK
