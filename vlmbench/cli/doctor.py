"""``vlmbench doctor``."""

from dataclasses import replace

from vlmbench.cli.options.common import Common, with_basics


@with_basics
def command(common: Common) -> int:
    """What this machine has, what is missing, and the command that fixes it.

    Example: [bold]vlmbench doctor[/bold]
    """
    import vlmbench
    from vlmbench.api.rows import Rows
    from vlmbench.cli.console import Layout, print_json, print_table
    from vlmbench.cli.settings import described
    from vlmbench.foundations.errors import EXIT_ABSENT, EXIT_OK

    findings = vlmbench.doctor(common.out, common.cache_dir)
    found = described()
    if found is not None:
        findings = Rows([*findings, replace(findings[0], what="settings", detail=f"{found[0]}: {found[1]}")])
    if common.json:
        print_json({"findings": findings.to_dicts()})
    else:
        rows = [(finding.what, finding.state, finding.detail, finding.fix) for finding in findings]
        print_table("vlmbench doctor", ("", "state", "found", "fix"), rows, Layout(left=4))
    return EXIT_ABSENT if any(finding.state == "broken" for finding in findings) else EXIT_OK
