import csv
import io
import json

import pytest
from PIL import Image


@pytest.fixture(scope="module")
def kept(tmp_path_factory, command):
    """A probe on raw pixels that tells red from blue, and its images."""
    root = tmp_path_factory.mktemp("predict")
    for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        for split in ("train", "test"):
            (root / "photos" / split / name).mkdir(parents=True)
            for index in range(4):
                shade = tuple(channel - 20 * index if channel else 0 for channel in colour)
                Image.new("RGB", (8, 8), shade).save(root / "photos" / split / name / f"{index}.png")
    common = ("-o", root / "out", "--cache-dir", root / "cache", "--no-figures", "-q")
    done = command(
        "linear-probe", "-m", "pixels", "-d", f"folder:{root}/photos", "--save-probe", root / "probe", *common
    )
    assert done.returncode == 0, done.stderr
    return root


def test_predictions_in_each_format(kept, command):
    images = kept / "photos" / "test"
    table, lines, document = (
        command("predict", "-p", kept / "probe", images, *more) for more in ((), ("--format", "jsonl"), ("--json",))
    )
    found = json.loads(document.stdout)["predictions"]
    assert [json.loads(line) for line in lines.stdout.splitlines()] == found
    assert [row["label"] for row in csv.DictReader(io.StringIO(table.stdout))] == ["blue"] * 4 + ["red"] * 4
    assert [one["label"] for one in found] == ["blue"] * 4 + ["red"] * 4
    assert all(sum(one["probabilities"].values()) == pytest.approx(1) for one in found)


def test_with_json_a_damaged_image_leaves_no_half_document(kept, tmp_path, command):
    (tmp_path / "bad.png").write_bytes(b"no image")
    done = command("predict", "-p", kept / "probe", kept / "photos" / "test", tmp_path / "bad.png", "--json")
    assert (done.returncode, done.stdout) == (3, "")
    assert "bad.png" in done.stderr


def test_a_commands_tables_show_its_own_runs_and_say_where_all_are(kept, command):
    common = ("-d", f"folder:{kept}/photos", "-o", kept / "out", "--cache-dir", kept / "cache", "--no-figures")
    done = command("linear-probe", "-m", "pixels", "--shots", "1,1000", "--seeds", "2", *common)
    assert done.returncode == 0, done.stderr
    assert "all labels" not in done.stdout
    assert "reference" not in done.stdout  # no row without figures: the probes are in the table by labels per class
    assert "1000-shot" in done.stdout
    assert "these runs beside 1 other there" in done.stderr
