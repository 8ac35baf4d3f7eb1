"""Table files read back: each format as tables of rows of plain cells, and a cell as its three figures."""

import html.parser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CELL = re.compile(r"(-?\+?\d+\.\d)[*=]*(?:\s+\[([-+]?\d+\.\d), ([-+]?\d+\.\d)\])?")

Tables = list[list[list[str]]]

PREAMBLE = "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage[utf8]{inputenc}\\usepackage{booktabs}"

needs_pdflatex = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="needs pdflatex (Debian: texlive-latex-recommended)"
)


def assert_compiles(body: str, folder: Path) -> None:
    """A LaTeX table goes through pdflatex, and no line of it is wider than the page."""
    (folder / "paper.tex").write_text(f"{PREAMBLE}\n\\begin{{document}}\n{body}\n\\end{{document}}\n", "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert not re.search(rb"Overfull .hbox|Float too large", done.stdout), done.stdout[-2000:]


def figures(cell: str) -> list[float]:
    """Value, low and high of a cell as shown."""
    found = CELL.fullmatch(cell.strip())
    assert found, cell
    return [float(part) for part in found.groups()]


def markdown_tables(text: str) -> Tables:
    """The tables of a Markdown file, each with its header first and without its rule."""
    tables: Tables = []
    before = ""
    for line in text.splitlines():
        if line.startswith("| "):
            if not before.startswith("| "):
                tables.append([])
            if not line.startswith("| ---"):
                plain = line.replace("\\", "").replace("**", "")
                tables[-1].append([cell.strip() for cell in plain.strip("|").split(" | ")])
        before = line
    return tables


def latex_tables(text: str) -> Tables:
    """The tables of a LaTeX file, each with its header first."""
    tables: Tables = []
    for block in text.split("\\begin{tabular}")[1:]:
        lines = [line.removesuffix(" \\\\") for line in block.splitlines() if line.endswith("\\\\")]
        plain = [
            re.sub(
                r"\\textbf\{([^}]*)\}", r"\1", re.sub(r"\\(raggedright |allowbreak\{\}|shortstack\[r\]\{)", "", line)
            )
            .replace("$^{=}$", "=")
            .replace("{[}", "[")
            .replace("\\\\", " ")
            .replace("\\figci{", "")
            .replace("}{", " ")
            .replace("{", "")
            .replace("}", "")
            .replace("$-$", "-")
            for line in lines
        ]
        tables.append([line.split(" & ") for line in plain])
    return tables


class Rows(html.parser.HTMLParser):
    """Tables as lists of rows of (text, attributes)."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[tuple[str, dict[str, str]]]]] = []
        self.tags: list[str] = []
        self._cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self._cell, self._attributes = [], {name: value or "" for name, value in attrs}

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"} and self._cell is not None:
            self.tables[-1][-1].append(("".join(self._cell), self._attributes))
            self._cell = None


def html_rows(text: str) -> list[list[list[tuple[str, dict[str, str]]]]]:
    """The tables of an HTML file, each cell with its attributes."""
    parser = Rows()
    parser.feed(text)
    return parser.tables


def html_tables(text: str) -> Tables:
    """The tables of an HTML file, each with its header first."""
    return [[[cell for cell, _ in row] for row in table] for table in html_rows(text)]
