"""What CI systems read: GitHub's summary and annotations, JUnit XML, GitLab's code quality report."""

import json
from dataclasses import asdict
from typing import Any
from xml.sax.saxutils import quoteattr

from vlmbench.foundations.errors import VlmbenchError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.text import markdown, visible
from vlmbench.report.formats import to_markdown
from vlmbench.report.gate.losses import listed
from vlmbench.report.gate.run import Change, Outcome, outcome_table


def sentence(change: Change) -> str:
    """One change in words."""
    interval = (
        "" if change.low is None or change.high is None else f" [{change.low * 100:+.1f}, {change.high * 100:+.1f}]"
    )
    tested = "no paired test" if change.p is None else f"p {change.p:.3g}"
    moved = (change.now - change.before) * 100
    return (
        f"{change.key}: {change.metric} went from {change.before * 100:.1f} to {change.now * 100:.1f} "
        f"({moved:+.1f}{interval}, {tested}, tolerance {change.tolerance * 100:.1f})"
        + (f"; lost most: {listed(change.losses)}" if change.losses else "")
    )


def github_summary(outcome: Outcome | VlmbenchError) -> str:
    """Markdown for ``$GITHUB_STEP_SUMMARY``: the table, or why nothing could be compared."""
    if isinstance(outcome, VlmbenchError):
        return (
            "\n\n".join(["### ❌ vlmbench check could not compare", *map(markdown, str(outcome).splitlines())]) + "\n"
        )
    sign = "❌" if outcome.regressions else "✅"
    lines = [
        f"### {sign} vlmbench check: {markdown(outcome_table(outcome).title)}",
        "",
        to_markdown(outcome_table(outcome)).partition("\n\n")[2],
    ]
    return "\n".join(lines)


def github_annotations(outcome: Outcome | VlmbenchError) -> list[str]:
    """Workflow commands, one per regression, or one for the error."""
    if isinstance(outcome, VlmbenchError):
        return [f"::error title=vlmbench check could not compare::{_command(_line(outcome))}"]
    return [f"::error title=vlmbench regression::{_command(sentence(change))}" for change in outcome.regressions]


def _line(error: VlmbenchError) -> str:
    return "; ".join(str(error).splitlines())


def _command(text: str) -> str:
    return visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A").replace("::", ":%3A")


def junit_xml(outcome: Outcome | VlmbenchError) -> str:
    """A test suite with one test case per metric of a run; with one error where nothing could be compared."""
    if isinstance(outcome, VlmbenchError):
        cases = [
            f'<testcase classname="vlmbench" name="check"><error message={_attribute(_line(outcome))}/></testcase>'
        ]
        counts = 'tests="1" failures="0" errors="1"'
    else:
        cases = [_case(change) for change in outcome.changes]
        counts = f'tests="{len(cases)}" failures="{len(outcome.regressions)}" errors="0"'
    head = f'<testsuites><testsuite name="vlmbench check" {counts}>'
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *cases, "</testsuite></testsuites>"]) + "\n"


def _case(change: Change) -> str:
    head = f"<testcase classname={_attribute(change.key)} name={_attribute(change.metric)}"
    if change.verdict != "regression":
        return f"{head}/>"
    return f"{head}><failure message={_attribute(sentence(change))}/></testcase>"


def _attribute(text: str) -> str:
    return quoteattr(visible(text))


def gitlab_quality(outcome: Outcome | VlmbenchError, baseline: str) -> str:
    """GitLab's code quality JSON: one issue per regression, or one for the error, located in the baseline file."""
    if isinstance(outcome, VlmbenchError):
        found = [(_line(outcome), "vlmbench-error", "critical", ["vlmbench check"])]
    else:
        found = [
            (sentence(change), "vlmbench-regression", "major", [change.key, change.metric])
            for change in outcome.regressions
        ]
    issues: list[dict[str, Any]] = [
        {
            "description": visible(text),
            "check_name": name,
            "fingerprint": digest(identity),
            "severity": severity,
            "location": {"path": baseline, "lines": {"begin": 1}},
        }
        for text, name, severity, identity in found
    ]
    return json.dumps(issues, indent=2) + "\n"


def json_document(outcome: Outcome) -> dict[str, Any]:
    """The JSON document of ``check --json``; figures in the records' own scale."""
    return {
        "regressions": len(outcome.regressions),
        "changes": [
            {
                "run": change.key,
                "metric": change.metric,
                "baseline": change.before,
                "now": change.now,
                "change": change.now - change.before,
                "low": change.low,
                "high": change.high,
                "p": change.p,
                "tolerance": change.tolerance,
                "verdict": change.verdict,
                "in_words": change.in_words,
                "lost_most": [asdict(loss) for loss in change.losses],
                "signature": change.signature,
                "baseline_signature": change.was,
            }
            for change in outcome.changes
        ],
        "notes": list(outcome.notes),
    }
