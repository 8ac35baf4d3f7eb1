"""What a paper takes from ``compare``: narrow LaTeX tables, chosen columns, figures as PDF, systems side by side."""

import re

import pytest

import vlmbench
from tests.report import factory, parsing
from vlmbench.errors import UsageError
from vlmbench.report.latex import CHARACTER, WIDTH, to_latex
from vlmbench.report.page.figures import write_figures
from vlmbench.report.page.findings import caption_pairs
from vlmbench.report.pairs import Pairs
from vlmbench.report.tables.caption_blocks import caption_blocks
from vlmbench.report.tables.comparisons import matrices

SYSTEMS = ("zebra", "magic:tiny-captioner,tiny-clip", "apple")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("paper")
    return [factory.write_captions(out, name, wrong=0.3 * k, seed=k) for k, name in enumerate(SYSTEMS)]


@pytest.fixture(scope="module")
def compared(runs):
    return vlmbench.compare([run.path for run in runs])


def test_systems_keep_the_order_given_and_can_be_renamed(runs):
    paths = [run.path for run in runs]
    for order in (paths, paths[::-1]):
        table = vlmbench.compare(order).tables[0]
        assert [row[1].text for row in table.rows] == [
            run.record.system for path in order for run in runs if run.path == path
        ]
    table = vlmbench.compare([f"new={paths[0]}", paths[1]]).tables[0]
    assert [row[1].text for row in table.rows] == ["new", SYSTEMS[1]]
    with pytest.raises(UsageError, match="not NAME=PATH"):
        vlmbench.compare([f"={paths[0]}"])


def test_columns_are_chosen_in_their_order(compared, runs):
    shown = vlmbench.compare([run.path for run in runs], columns=["cider", "bleu_4"])
    assert [column.key for column in shown.tables[0].columns if column.figures] == ["cider", "bleu_4"]
    assert {pair["metric"] for pair in shown.pairs()} == {"CIDEr", "BLEU-4"}
    with pytest.raises(UsageError, match="no such column: colour"):
        vlmbench.compare([run.path for run in runs], columns=["colour"])


def test_intervals_are_left_out_but_in_the_csv(compared, tmp_path):
    written = {path.name: path.read_text() for path in compared.write(tmp_path, intervals=False)}
    assert "[" not in re.sub(r"signatures.*", "", written["captions.md"], flags=re.DOTALL)
    assert "\\figci{" not in written["captions.tex"].split("\\begin{table}", 1)[1]
    assert "cider_low" in written["captions.csv"]


def test_latex_is_no_wider_than_a_page(compared, tmp_path):
    for table in compared.tables:
        text = to_latex(table)
        assert text.count(f"\\label{{tab:{table.name}}}") == 1
        kinds = re.findall(r"\\begin\{tabular\}\{@\{\}(.*)@\{\}\}", text)
        for kind, (_, *rows) in zip(kinds, parsing.latex_tables(text), strict=True):
            folded = [float(width) / CHARACTER for width in re.findall(r"p\{(\d+)pt\}", kind)]
            whole = [at for at, letter in enumerate(re.sub(r"\{\d+pt\}", "", kind)) if letter != "p"]
            widths = [max(len(part) for row in rows for part in re.split(r" (?=\[)", row[at])) for at in whole]
            assert sum(widths) + sum(folded) + 2 * (len(rows[0]) - 1) <= WIDTH, kind


@parsing.needs_pdflatex
@pytest.mark.parametrize("intervals", [True, False])
def test_latex_compiles_in_article_without_an_overfull_line(compared, tmp_path, intervals):
    tables = compared.tables if intervals else [table.without_intervals() for table in compared.tables]
    parsing.assert_compiles("\n".join(map(to_latex, tables)), tmp_path)


def test_the_best_is_shown_against_each_other_system(compared):
    full = next(table for table in compared.tables if table.name == "comparisons")
    assert len(full.rows) == 3 * 6
    assert [(row[3].text, row[2].text) for row in full.brief.rows] == [("zebra", "CIDEr")] * 2
    assert all(cell.value > 0 for row in full.brief.rows for cell in row if cell.signed)
    (matrix,) = matrices(full)
    assert matrix.systems[0] == "zebra"
    for row in range(3):
        assert not matrix.cell(row, row).is_figure
        for column in range(row):
            one, two = matrix.cell(row, column), matrix.cell(column, row)
            assert (one.value, one.low, one.high) == (-two.value, -two.high, -two.low)


def test_two_captioners_stand_side_by_side_by_their_difference(runs):
    pairs = Pairs()
    (block,) = caption_blocks(runs, pairs)
    first, *_ = found = caption_pairs(block, pairs)
    assert len(found) == 3
    assert first.better + first.equal + first.worse == 40
    assert first.metric == "CIDEr"
    gaps = [dict(one.scores)["CIDEr"] - dict(two.scores)["CIDEr"] for one, two in first.gains]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] > 0
    assert all(one.id == two.id and one.references == two.references for one, two in first.gains)
    assert all(one.candidate != two.candidate for one, two in first.gains)


def test_figures_are_pdf_too(compared, tmp_path):
    written = write_figures(compared.results.runs, tmp_path, compared.tables)
    assert {path.name for path in written} == {
        f"differences-scenes-captions-CIDEr.{end}" for end in ("svg", "pdf", "png")
    }
    data = next(path for path in written if path.suffix == ".pdf").read_bytes()
    start = int(data.rsplit(b"startxref\n", 1)[1].split()[0])
    assert data[start:].startswith(b"xref")
    for number, line in enumerate(data[start:].splitlines()[3:8], 1):
        assert data[int(line[:10]) :].startswith(b"%d 0 obj" % number)
    again = write_figures(compared.results.runs, tmp_path / "again", compared.tables)
    assert [path.read_bytes() for path in written] == [path.read_bytes() for path in again]
