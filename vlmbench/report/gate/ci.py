"""What CI systems read: GitHub's summary and annotations, JUnit XML, GitLab's code quality report."""

import json
from typing import Any
from xml.sax.saxutils import quoteattr

from vlmbench.foundations.hashing import digest
from vlmbench.foundations.text import markdown, visible
from vlmbench.report.formats import to_markdown
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
    )


def github_summary(outcome: Outcome) -> str:
    """Markdown for ``$GITHUB_STEP_SUMMARY``."""
    sign = "❌" if outcome.regressions else "✅"
    lines = [
        f"### {sign} vlmbench check: {markdown(outcome_table(outcome).title)}",
        "",
        to_markdown(outcome_table(outcome)),
    ]
    return "\n".join(lines)


def github_annotations(outcome: Outcome) -> list[str]:
    """Workflow commands, one per regression."""
    return [f"::error title=vlmbench regression::{_command(sentence(change))}" for change in outcome.regressions]


def _command(text: str) -> str:
    return visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A").replace("::", ":%3A")


def junit_xml(outcome: Outcome) -> str:
    """A test suite with one test case per metric of a run."""
    failed = len(outcome.regressions)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites><testsuite name="vlmbench check" tests="{len(outcome.changes)}" failures="{failed}" errors="0">',
    ]
    for change in outcome.changes:
        head = f"<testcase classname={_attribute(change.key)} name={_attribute(change.metric)}"
        if change.verdict == "regression":
            lines.append(f"{head}><failure message={_attribute(sentence(change))}/></testcase>")
        else:
            lines.append(f"{head}/>")
    return "\n".join([*lines, "</testsuite></testsuites>"]) + "\n"


def _attribute(text: str) -> str:
    return quoteattr(visible(text))


def gitlab_quality(outcome: Outcome, baseline: str) -> str:
    """GitLab's code quality JSON: one issue per regression, located in the baseline file."""
    issues: list[dict[str, Any]] = [
        {
            "description": visible(sentence(change)),
            "check_name": "vlmbench-regression",
            "fingerprint": digest([change.key, change.metric]),
            "severity": "major",
            "location": {"path": baseline, "lines": {"begin": 1}},
        }
        for change in outcome.regressions
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
                "signature": change.signature,
            }
            for change in outcome.changes
        ],
        "notes": list(outcome.notes),
    }
