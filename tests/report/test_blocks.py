"""Tables in a narrow terminal: every figure whole, and beside what it is of."""

import io
import re

import factory
import pytest
from rich.console import Console

import vlmbench
from vlmbench.cli.output import show_table
from vlmbench.report.blocks import blocks, fits
from vlmbench.report.table import Cell, Column, Table
from vlmbench.report.terminal import Drawn

NAMES = ("bleu_1", "bleu_4", "meteor", "cider")


def table(*systems: str) -> Table:
    columns = (Column("dataset", "dataset"), Column("system", "system"), *(Column(name, name, True) for name in NAMES))
    figures = [Cell(value=0.5 + place / 100, low=0.4, high=0.6) for place in range(len(NAMES))]
    rows = tuple((Cell("scenes"), Cell(system), *figures) for system in systems)
    return Table("captions", "Captions", columns, rows, ("a note",))


def test_a_table_that_fits_is_left_alone() -> None:
    given = table("one", "two")
    assert blocks(given, 160) == [given]


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize("systems", [("one", "two"), ("magic:tiny-captioner,tiny-clip", "tiny-captioner"), ("one",)])
def test_every_figure_stands_once_beside_its_system(width: int, systems: tuple[str, ...]) -> None:
    given = table(*systems)
    found = blocks(given, width)
    assert [column.key for block in found for column in block.columns if column.figures] == list(NAMES)
    for block in found:
        assert fits(block, width)
        place = [column.key for column in block.columns].index("system")
        assert [row[place].text for row in block.rows] == list(systems)
    if len(systems) > 1 and len(found) > 1:
        assert found[0].title == "Captions (dataset scenes)"


def test_a_row_without_figures_in_a_block_is_left_out_there() -> None:
    given = table("one", "two")
    lacking = (*given.rows[1][:4], Cell(), Cell())
    found = blocks(Table("t", "T", given.columns, (given.rows[0], lacking)), 44)
    assert [len(block.rows) for block in found] == [2, 1]


def test_no_figure_is_folded_on_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    show_table(table("magic:tiny-captioner,tiny-clip", "tiny-captioner"))
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert shown.count("[40.0, 60.0]") == 2 * len(NAMES)
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert shown.count("a note") == 1


def test_no_name_is_broken_and_no_line_too_long_where_texts_must_wrap(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("tiny-clip+tip-adapter", "reference: majority class of train", "mean of 12 fine-grained sets")
    given = table(*names)
    titles = ("labels per class to match", "loss − zero-shot's loss", "probe, all labels", "effective robustness")
    columns = (*given.columns[:2], *(Column(f"c{at}", title, True) for at, title in enumerate(titles)))
    more = (Column("note", "note"), Column("where", "where"))
    texts = [(Cell(f"probe, {at} labels per class"), Cell(f"counting?corrupt=gaussian_noise:{at}")) for at in (2, 3, 4)]
    rows = tuple((*row, *both) for row, both in zip(given.rows, texts, strict=True))
    show_table(Table("t", "T", (*columns, *more), rows))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) == 160
    for word in (*" ".join(names).split(), "probe,", "labels"):
        assert any(word in line.split() for line in lines), word


def test_the_few_shot_table_of_one_run_shows_all_labels_at_80_and_100_columns(tmp_path):
    factory.write_classification(tmp_path, "zeroshot", accuracy=0.7)
    for shots in (1, 4, 16, None):
        factory.write_classification(tmp_path, "linear-probe", accuracy=0.8, shots=shots, seed=(shots or 5))
    (table,) = vlmbench.compare(tmp_path).tables[:1]
    for width in (80, 100):
        out = io.StringIO()
        Console(file=out, width=width).print(Drawn(table))
        text = out.getvalue()
        assert max(map(len, text.splitlines())) <= width
        few = text[text.index("Linear probe by labels per class") :]
        assert all(name in few for name in ("tiny-clip", "1-shot", "4-shot", "16-shot", "all labels"))
        assert len([line for line in few.splitlines() if "tiny-clip" in line]) == {80: 2, 100: 1}[width]
