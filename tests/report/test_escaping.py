"""Fifty hostile names, in every format: harmless."""

import csv
import io
import re
from pathlib import Path

import factory
import pytest
from parsing import Rows, assert_compiles, needs_pdflatex

from vlmbench.cli.output import show_table
from vlmbench.records.store import find_runs
from vlmbench.report.gate import ci
from vlmbench.report.gate.run import Change, Outcome
from vlmbench.report.tables.write import build_tables, write_tables

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</td></tr></table><h1>gone</h1>",
    "' onmouseover='alert(1)",
    "<!-- comment",
    "-->",
    "<![CDATA[x]]>",
    "&lt;b&gt;",
    "&#60;b&#62;",
    "javascript:alert(1)",
    "<svg/onload=alert(1)>",
    "<style>*{display:none}</style>",
    "</script><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://example.org")',
    "+1+1",
    "-2+3",
    "@SUM(A1:A9)",
    "\t=1+1",
    "\r=1+1",
    "a,b;c\td",
    'say "hi"',
    "line\nbreak",
    "line\r\nbreak",
    "| a | b |",
    "\\| x",
    "`code`",
    "**bold** _em_",
    "[link](http://example.org)",
    "![img](http://example.org/x.png)",
    "# heading",
    "$E=mc^2$",
    "@everyone #1",
    "~~gone~~",
    "\\input{/etc/passwd}",
    "\\write18{ls}",
    "100% & _x_ ^ ~ {}",
    "\x1b[2J\x1b[H",
    "\x1b]0;title\x07",
    "[red]rich[/red]",
    "\x00null",
    "\x08\x7f",
    "\u202eright to left",
    "\u200bzero\u200dwidth\ufeff",
    "\u2028\u2029",
    "::error::x%0A",
    "名前 ❤ é",
]


TABLES = {"classification": 1, "captions": 2}
"""Tables a file: scores, and what the captions are like."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hostile")
    for index, name in enumerate(HOSTILE):
        factory.write_classification(out, "zeroshot", name, name, n=20, seed=index)
        factory.write_captions(out, name, "scenes", n=4, metrics=("rouge_l",))
    write_tables(build_tables(find_runs([out]), tests=False), out)
    return out / "tables"


def test_there_are_fifty() -> None:
    assert len(set(HOSTILE)) == 50


@pytest.mark.parametrize("name", ["classification", "captions"])
def test_csv(written: Path, name: str) -> None:
    text = (written / f"{name}.csv").read_text("utf-8")
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) == 51
    assert len({len(row) for row in rows}) == 1
    assert len(text.splitlines()) == 51
    for row in rows:
        for cell in row:
            assert not cell.startswith(("=", "+", "@", "\t", "\r")), cell
            assert not cell.startswith("-") or re.fullmatch(r"-\d+\.\d+", cell), cell


@pytest.mark.parametrize("name", ["classification", "captions"])
def test_html(written: Path, name: str) -> None:
    parser = Rows()
    parser.feed((written / f"{name}.html").read_text("utf-8"))
    assert set(parser.tags) <= {
        "meta",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "p",
        "small",
        "span",
        "strong",
        "sup",
    }
    assert [len(table) for table in parser.tables] == [51] * TABLES[name]
    assert all(len({len(row) for row in table}) == 1 for table in parser.tables)


@pytest.mark.parametrize("name", ["classification", "captions"])
def test_markdown(written: Path, name: str) -> None:
    text = (written / f"{name}.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 52 * TABLES[name]
    for start in range(0, len(rows), 52):
        assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows[start : start + 52]}) == 1
    shown, _, folded = text.partition("<details><summary>Signatures</summary>\n\n```text\n")
    for line in shown.splitlines():
        plain = _without_intervals(re.sub(r"\\.", "", line))
        assert not re.search(r"[<`$~\[\]]", plain), line
        assert not plain.startswith(("#", ">", "+"))
    lines, _, rest = folded.partition("\n```\n")
    assert rest == "\n</details>\n"
    assert all(re.match(r"(\d+\. |all: )[\w.]+:", line) for line in lines.splitlines())


def _without_intervals(line: str) -> str:
    return re.sub(r"\[[+-]?[\d.]+, [+-]?[\d.]+\]", "", line)


@pytest.mark.parametrize("name", ["classification", "captions"])
def test_latex(written: Path, name: str) -> None:
    text = (written / f"{name}.tex").read_text("utf-8")
    text = re.sub(r"^(%|\\providecommand).*$", "", text, flags=re.MULTILINE)
    ours = {"begin", "end", "centering", "footnotesize", "caption", "label", "toprule", "midrule", "bottomrule"}
    ours |= {"smallskip", "medskip", "parbox", "linewidth", "scriptsize", "raggedright", "shortstack", "figci"}
    ours |= {"allowbreak", "ldots"}
    escapes = {
        "textbackslash",
        "textasciitilde",
        "textasciicircum",
        "textless",
        "textgreater",
        "textbar",
        "textquotedbl",
    }
    assert set(re.findall(r"\\([A-Za-z]+)", text.replace("\\\\", ""))) <= ours | escapes | {"textbf"}
    tables = text.split("\\toprule")[1:]
    assert text.count("\\label{tab:") == TABLES[name]
    for table in tables:
        lines = [line for line in table.splitlines() if line.endswith("\\\\")]
        assert len({line.count(" & ") for line in lines}) == 1


@needs_pdflatex
@pytest.mark.parametrize("name", ["classification", "captions"])
def test_latex_compiles(written: Path, name: str, tmp_path: Path) -> None:
    assert_compiles((written / f"{name}.tex").read_text("utf-8"), tmp_path)


def test_terminal(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for table in build_tables(find_runs([written.parent]), tests=False):
        show_table(table)
    said = capsys.readouterr().out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ufeff]", said)
    assert "[red]rich[/red]" in said


def test_ci_formats() -> None:
    import json
    import xml.etree.ElementTree as ElementTree

    changes = tuple(Change(name, "accuracy", 0.9, 0.8, 0.0, p=0.01, verdict="regression") for name in HOSTILE)
    outcome = Outcome(changes, tuple(HOSTILE))
    tree = ElementTree.fromstring(ci.junit_xml(outcome))  # noqa: S314 - our own text
    assert {element.tag for element in tree.iter()} == {"testsuites", "testsuite", "testcase", "failure"}
    assert len(tree.findall(".//failure")) == 50
    assert len(json.loads(ci.gitlab_quality(outcome, "baseline.json"))) == 50
    lines = ci.github_annotations(outcome)
    assert len(lines) == 50
    for line in lines:
        assert line.startswith("::error title=vlmbench regression::")
        assert line.count("::") == 2
        assert line.isprintable() or "名前" in line or "❤" in line
    summary = ci.github_summary(outcome)
    assert not re.search(r"[<`$~\[\]]", _without_intervals(re.sub(r"\\.", "", summary)))
