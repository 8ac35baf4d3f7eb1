"""Boxes and tiles through zero-shot: equal to a plain statement, encoded once, compared with whole images."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vlmbench.cli.app import app
from vlmbench.data.bundled import open_bundled
from vlmbench.data.images import BadImage
from vlmbench.data.views import crops
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.progress import Silent
from vlmbench.heads.zeroshot import ZeroShotWeights, logits
from vlmbench.records.store import read_samples
from vlmbench.report.pairs import Pairs
from vlmbench.report.tables.classification import classification_table
from vlmbench.report.tables.published import published_cell
from vlmbench.report.verify import verify_run
from vlmbench.session.context import Context
from vlmbench.session.images import Selection
from vlmbench.session.session import Session
from vlmbench.tasks.zeroshot import ZeroShotRequest, run_zeroshot

BOXES = [(3, 2, 20, 17), (30, 20, 9.5, 11), (0, 0, 40, 32), (12.25, 8.5, 6, 14)]


def context(tmp_path, **more):
    return Context(out=tmp_path / "out", cache_dir=tmp_path / "cache", reporter=Silent(), **more)


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """Six noisy images of 40 x 32 in a flat directory, and an instances file with four boxes in each."""
    root = tmp_path_factory.mktemp("boxes")
    generator = np.random.default_rng(3)
    (root / "images").mkdir()
    pictures, annotations = [], []
    for n in range(6):
        pixels = generator.integers(0, 255, (32, 40, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{n}.png")
        pictures.append({"id": n, "file_name": f"{n}.png", "width": 40, "height": 32})
        for k, box in enumerate(BOXES):
            annotations.append({"id": 100 * n + k, "image_id": n, "category_id": 1 + (n + k) % 3, "bbox": box})
    categories = [{"id": i, "name": name} for i, name in enumerate(("blue", "green", "red"), 1)]
    document = {"images": pictures, "annotations": annotations, "categories": categories}
    (root / "instances.json").write_text(json.dumps(document))
    return root


def of_boxes(model, flat, **more):
    return ZeroShotRequest([str(model)], [f"folder:{flat / 'images'}"], boxes=flat / "instances.json", **more)


def unit(values):
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def test_a_box_is_the_mean_of_its_two_crops(checkpoints, flat, tmp_path):
    model = str(checkpoints("clip"))
    session = Session(context(tmp_path, batch_size=5))
    (run,) = run_zeroshot(of_boxes(model, flat), session.context, session)
    samples = read_samples(run)
    encoder = session.model(model).encoder
    scale = encoder.scale.scale
    texts = unit(encoder.encode_texts([f"a photo of a {name}." for name in ("blue", "green", "red")]))
    assert run.record.n == 24
    for row, name in enumerate(samples["id"]):
        image = Image.open(flat / "images" / f"{int(name) // 100}.png")
        x, y, w, h = BOXES[int(name) % 100]
        near = (np.floor(x), np.floor(y), np.ceil(x + w), np.ceil(y + h))
        far = (np.floor(x - w / 4), np.floor(y - h / 4), np.ceil(x + 1.25 * w), np.ceil(y + 1.25 * h))
        embeddings = []
        for left, top, right, bottom in (near, far):
            part = image.crop((max(0, left), max(0, top), min(40, right), min(32, bottom)))
            embeddings.append(encoder.encode_images(encoder.preprocess(part)[None])["proj"][0])
        z = scale * unit(np.mean([unit(e) for e in embeddings], axis=0)) @ texts.T
        p = np.exp(z - z.max())
        assert samples["label"][row] == (int(name) // 100 + int(name) % 100) % 3
        assert samples["prediction"][row] == z.argmax()
        np.testing.assert_allclose(samples["confidence"][row], p.max() / p.sum(), rtol=1e-3)
    assert run.record.protocol.views == "1x + 1.5x crops, mean"
    assert "|views:1x + 1.5x crops, mean|" in run.record.signature


def test_tiles_take_the_best_logit_of_each_class(checkpoints, colours, tmp_path):
    model = str(checkpoints("siglip"))
    session = Session(context(tmp_path))
    (run,) = run_zeroshot(ZeroShotRequest([model], [f"folder:{colours}"], tiles=6), session.context, session)
    samples = read_samples(run)
    encoder = session.model(model).encoder
    texts = unit(encoder.encode_texts([f"a photo of a {name}." for name in ("blue", "green", "red")]))
    for row, name in enumerate(samples["id"]):
        image = Image.open(colours / "test" / name)  # 40 x 32: 3 x 2 tiles of 13 1/3 x 16
        views = [image] + [
            image.crop((left, top, right, top + 16)) for top in (0, 16) for left, right in ((0, 14), (13, 27), (26, 40))
        ]
        found = unit(np.stack([encoder.encode_images(encoder.preprocess(view)[None])["proj"][0] for view in views]))
        z = (encoder.scale.scale * found @ texts.T + encoder.scale.bias).max(axis=0)
        p = np.exp(z - z.max())
        assert samples["prediction"][row] == z.argmax()
        np.testing.assert_allclose(samples["confidence"][row], p.max() / p.sum(), rtol=1e-3)


def test_the_best_of_views_in_blocks(monkeypatch):
    monkeypatch.setattr("vlmbench.heads.zeroshot._ROWS", 7)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(11, 3, 5)).astype(np.float32)
    weights = unit(generator.normal(size=(4, 5))).astype(np.float32)
    head = ZeroShotWeights(weights, 10.0, -2.0, (), (), "")
    expected = (unit(x) @ weights.T).max(axis=1) * 10 - 2
    np.testing.assert_allclose(logits(x.reshape(33, 5), head, views=3), expected, atol=1e-5)


def test_a_second_run_encodes_nothing(checkpoints, flat, colours, tmp_path, monkeypatch):
    asked = [
        of_boxes(checkpoints("clip"), flat),
        ZeroShotRequest([str(checkpoints("clip"))], [f"folder:{colours}"], tiles=4),
    ]
    first = [run_zeroshot(one, context(tmp_path))[0] for one in asked]
    for name in ("decode", "decode_stored"):
        monkeypatch.setattr(crops, name, lambda *_: pytest.fail("an image was decoded"))
    again = context(tmp_path)
    assert [run_zeroshot(one, again)[0].record for one in asked] == [run.record for run in first]
    told = " ".join(again.reporter.notes)
    assert "0 views encoded, 48 from the store" in told
    assert "0 views encoded, 75 from the store" in told
    facts = json.loads((first[1].path / "run.json").read_text())
    assert (facts["images_encoded"], facts["images_from_store"]) == (0, 75)


def test_each_image_is_decoded_once_a_pass_whatever_the_models_and_prompts(checkpoints, flat, tmp_path, monkeypatch):
    decoded = []
    real = crops.decode_stored
    monkeypatch.setattr(crops, "decode_stored", lambda raw, name: decoded.append(name) or real(raw, name))
    asked = ZeroShotRequest(
        [str(checkpoints("clip")), str(checkpoints("siglip"))],
        [f"folder:{flat / 'images'}"],
        prompts="default,name",
        boxes=flat / "instances.json",
    )
    assert len(run_zeroshot(asked, context(tmp_path, workers=2))) == 4
    assert sorted(decoded) == [f"{n}.png" for n in range(6)]


@pytest.mark.parametrize("tiles", [-1, 0, 1, 65, 10**9])
def test_a_number_of_tiles_that_makes_no_sense_is_usage(colours, tmp_path, tiles):
    request = ZeroShotRequest(["no-such-model"], [f"folder:{colours}"], tiles=tiles)
    with pytest.raises(UsageError, match=f"2 to 64 tiles, not {tiles}"):
        run_zeroshot(request, Context(out=tmp_path / "out", cache_dir=tmp_path / "cache"))


def test_tiles_stand_beside_whole_images(checkpoints, colours, tmp_path):
    model, where = str(checkpoints("clip")), context(tmp_path)
    runs = [
        run_zeroshot(ZeroShotRequest([model], [f"folder:{colours}"], limit=9, tiles=tiles), where)[0]
        for tiles in (None, 4, 9)
    ]
    whole, four, nine = runs
    assert whole.record.dataset == four.record.dataset, "the limit draws the same images"
    assert read_samples(whole)["id"].tolist() == read_samples(nine)["id"].tolist()
    assert len({run.record.signature for run in runs}) == 3
    assert len({run.path.name for run in runs}) == 3
    table = classification_table(runs, Pairs())
    assert sorted(row[1].text for row in table.rows if not row[4].reference) == [
        "random-clip",
        "random-clip (views whole + 4 tiles, best)",
        "random-clip (views whole + 9 tiles, best)",
    ]
    assert all(row[2].text == "9" for row in table.rows)
    assert any(cell.mark == "best" for row in table.rows for cell in row), "they are tested against each other"
    assert [verify_run(run) for run in runs] == [[], [], []]
    again = Session(where).features(model, Selection(f"folder:{colours}", "test", limit=9))
    assert (again.encoded, again.stored) == (0, 9), "views have a place of their own in the store"
    alone = classification_table([four], Pairs())
    assert alone.rows[0][1].text == "random-clip (views whole + 4 tiles, best)"


def test_published_figures_are_of_whole_images(checkpoints, flat, tmp_path):
    (run,) = run_zeroshot(of_boxes(checkpoints("clip"), flat), context(tmp_path))
    assert published_cell(run).value is None


def small_digits(root, count):
    """Bundled digits, 8 x 8, each somewhere on a black canvas of 32 x 32."""
    dataset = open_bundled("digits")
    split = dataset.split("test")
    generator = np.random.default_rng(0)
    pictures, annotations = [], []
    for row in generator.permutation(len(split))[:count].tolist():
        x, y = (8 * generator.integers(0, 4, 2)).tolist()
        canvas = np.zeros((32, 32), np.uint8)
        canvas[y : y + 8, x : x + 8] = split.images.read(row)
        label = int(split.labels[row])
        path = root / "digits" / dataset.info.classnames[label] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(canvas).save(path)
        pictures.append({"id": row, "file_name": f"{row}.png", "width": 32, "height": 32})
        annotations.append({"id": row, "image_id": row, "category_id": label, "bbox": [x, y, 8, 8]})
    categories = [{"id": i, "name": name} for i, name in enumerate(dataset.info.classnames)]
    document = {"images": pictures, "annotations": annotations, "categories": categories}
    (root / "digits.json").write_text(json.dumps(document))


def test_what_vanishes_in_the_whole_is_found_in_tiles_and_boxes(tmp_path):
    small_digits(tmp_path, 50)
    where, data = context(tmp_path), f"folder:{tmp_path / 'digits'}"
    found = [
        run_zeroshot(ZeroShotRequest(["tiny-clip"], [data], **more), where)[0].record.metrics["accuracy"].value
        for more in ({}, {"tiles": 4}, {"tiles": 16}, {"boxes": tmp_path / "digits.json"})
    ]
    whole, four, sixteen, boxes = found
    assert whole < 0.6 < four
    assert min(sixteen, boxes) > 0.9


@pytest.mark.parametrize("workers", [0, 3])
def test_a_damaged_image_is_left_out_with_all_its_views(workers, checkpoints, flat, colours, tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    for path in (flat / "images").iterdir():
        (root / path.name).write_bytes(path.read_bytes())
    (root / "2.png").write_text("no image")
    model, skip = str(checkpoints("clip")), context(tmp_path, on_bad_image="skip", workers=workers)
    asked = ZeroShotRequest([model], [f"folder:{root}"], boxes=flat / "instances.json")
    with pytest.raises(BadImage, match=r"2\.png"):
        run_zeroshot(asked, context(tmp_path, workers=workers))
    (run,) = run_zeroshot(asked, skip)
    assert run.record.n == 20
    assert run.record.dataset.skipped == ("200", "201", "202", "203")
    assert any("4 boxes in damaged images" in line for line in skip.reporter.warnings)
    with pytest.raises(BadImage, match="the first is annotation 200"):
        run_zeroshot(asked, context(tmp_path))
    (whole,) = run_zeroshot(of_boxes(model, flat), context(tmp_path / "other"))
    mine, theirs = read_samples(run), read_samples(whole)
    kept = ~np.isin(theirs["id"], run.record.dataset.skipped)
    assert mine["id"].tolist() == theirs["id"][kept].tolist()
    np.testing.assert_allclose(mine["confidence"], theirs["confidence"][kept], rtol=1e-5)


def test_a_damaged_image_is_left_out_with_all_its_tiles(checkpoints, tmp_path):
    for name, colour in (("red", "red"), ("blue", "blue")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for n in range(2):
            Image.new("RGB", (8, 8), colour).save(tmp_path / "data" / name / f"{n}.png")
    (tmp_path / "data" / "red" / "0.png").write_bytes((tmp_path / "data" / "red" / "0.png").read_bytes()[:50])
    asked = ZeroShotRequest([str(checkpoints("clip"))], [f"folder:{tmp_path / 'data'}"], tiles=4)
    (run,) = run_zeroshot(asked, context(tmp_path, on_bad_image="skip"))
    assert (run.record.n, run.record.dataset.skipped) == (3, ("red/0.png",))
    assert run.record.dataset.id == f"folder:{tmp_path / 'data'}"


def test_a_coupled_model_looks_at_boxes_and_tiles(checkpoints, flat, colours, tmp_path):
    lines = []
    for n, caption in enumerate(("a red circle", "the blue square", "many green dog", "a cat")):
        Image.fromarray(np.random.default_rng(n).integers(0, 255, (32, 32, 3)).astype(np.uint8)).save(
            tmp_path / f"{n}.png"
        )
        lines.append(json.dumps({"file_name": f"{n}.png", "captions": [caption]}))
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    name = f"asif:{checkpoints('vit')}+{checkpoints('bert')}@folder:{tmp_path}?k=2"
    (boxes,) = run_zeroshot(of_boxes(name, flat), context(tmp_path))
    (tiles,) = run_zeroshot(ZeroShotRequest([name], [f"folder:{colours}"], tiles=4), context(tmp_path))
    assert (boxes.record.n, tiles.record.n) == (24, 15)
    assert tiles.record.protocol.views == "whole + 4 tiles, best"
    assert boxes.record.protocol.asif_k == 2


def test_a_limit_draws_boxes(checkpoints, flat, tmp_path):
    (run,) = run_zeroshot(of_boxes(checkpoints("clip"), flat, limit=7), context(tmp_path))
    assert run.record.n == 7
    assert run.record.protocol.limit == 7


def test_a_held_out_share_keeps_an_images_tiles_together(checkpoints, colours, tmp_path):
    asked = ZeroShotRequest([str(checkpoints("clip"))], [f"folder:{colours / 'train'}"], tiles=4)
    (whole,) = run_zeroshot(asked, context(tmp_path))
    held = ZeroShotRequest(asked.models, asked.datasets, tiles=4, holdout=0.25)
    (part,) = run_zeroshot(held, context(tmp_path))
    all_of, some = read_samples(whole), read_samples(part)
    kept = np.isin(all_of["id"], some["id"])
    assert kept.sum() == len(some["id"]) == 6
    assert all_of["prediction"][kept].tolist() == some["prediction"].tolist()
    assert all_of["confidence"][kept].tolist() == some["confidence"].tolist()


def test_boxes_are_not_cut_into_tiles(checkpoints, flat, tmp_path):
    with pytest.raises(UsageError, match="not cut into tiles"):
        run_zeroshot(of_boxes(checkpoints("clip"), flat, tiles=4), context(tmp_path))
    spec = f"boxes:{flat / 'instances.json'}#folder:{flat / 'images'}"
    with pytest.raises(UsageError, match="not cut into tiles"):
        run_zeroshot(ZeroShotRequest([str(checkpoints("clip"))], [spec], tiles=4), context(tmp_path))


def test_nothing_is_loaded_before_the_boxes_are_sound(checkpoints, flat, tmp_path, monkeypatch):
    monkeypatch.setattr("vlmbench.session.models.load_model", lambda *_: pytest.fail("the model was loaded"))
    data = json.loads((flat / "instances.json").read_text())
    data["images"][3]["file_name"] = "gone.png"
    (tmp_path / "instances.json").write_text(json.dumps(data))
    asked = ZeroShotRequest(
        [str(checkpoints("clip"))], [f"folder:{flat / 'images'}"], boxes=tmp_path / "instances.json", split="all"
    )
    with pytest.raises(InputError, match=r"1 of 6 images are not in .*, the first is gone\.png"):
        run_zeroshot(asked, context(tmp_path))


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_from_the_command_to_a_table(checkpoints, flat, tmp_path):
    places = ("-o", tmp_path / "out", "--cache-dir", tmp_path / "cache")
    data = ("-m", checkpoints("clip"), "-d", f"folder:{flat / 'images'}", "--boxes", flat / "instances.json")
    done = call("zeroshot", *data, *places, "--json")
    assert done.exit_code == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    assert result["n"] == 24
    table = (tmp_path / "out" / "tables" / "classification.md").read_text()
    assert "views 1x + 1.5x crops, mean" in table
    assert call("compare", tmp_path / "out", "-o", tmp_path / "out").exit_code == 0
    assert call("verify", tmp_path / "out").exit_code == 0
    assert call("zeroshot", *data, *places, "--tiles", 4).exit_code == 2
    spec = f"boxes:{flat / 'instances.json'}#folder:{flat / 'images'}"
    assert call("embed", "-m", checkpoints("clip"), "-d", spec, *places).exit_code == 0


@pytest.mark.parametrize("more", [("--tiles", 1), ("--tiles", "four"), ("--tile", 4), ("--boxes",)])
def test_usage(more, checkpoints, colours, tmp_path):
    done = call("zeroshot", "-m", checkpoints("clip"), "-d", f"folder:{colours}", "-o", tmp_path, *more)
    assert done.exit_code == 2
    assert "Traceback" not in done.stderr


def test_an_instances_file_that_is_none(checkpoints, colours, tmp_path):
    (tmp_path / "x.json").write_text("[]")
    done = call(
        "zeroshot", "-m", checkpoints("clip"), "-d", f"folder:{colours}", "-o", tmp_path, "--boxes", tmp_path / "x.json"
    )
    assert done.exit_code == 3
    assert "not an instances file" in done.stderr
    assert "fix:" in done.stderr
