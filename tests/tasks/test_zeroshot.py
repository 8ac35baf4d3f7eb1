"""The zero-shot run on random checkpoints: equal to transformers, encoded once, resumed, and clear about bad input."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlmbench.encoders.pretrained import transformers
from vlmbench.features import encode
from vlmbench.features.store import FeatureEntry
from vlmbench.foundations.errors import AbsentError, InputError, UsageError
from vlmbench.foundations.progress import Silent
from vlmbench.records.store import read_samples
from vlmbench.session import models
from vlmbench.session.context import Context
from vlmbench.session.images import Selection
from vlmbench.session.session import Session
from vlmbench.tasks.zeroshot import ZeroShotRequest, run_zeroshot

NAMES = ("blue", "green", "red")


def context(tmp_path: Path, **more) -> Context:
    return Context(out=tmp_path / "out", cache_dir=tmp_path / "cache", reporter=Silent(), **more)


def request(model, data, **more) -> ZeroShotRequest:
    return ZeroShotRequest(models=[str(model)], datasets=[f"folder:{data}"], **more)


@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_predictions_are_those_of_transformers_on_every_image(family, checkpoints, colours, tmp_path):
    import torch

    directory = checkpoints(family)
    (run,) = run_zeroshot(request(directory, colours, split="train"), context(tmp_path, batch_size=7))
    samples = read_samples(run)

    library = transformers()
    model = library.AutoModel.from_pretrained(directory, dtype=torch.float32).eval()
    processor = library.AutoImageProcessor.from_pretrained(directory, backend="pil")
    tokenizer = library.AutoTokenizer.from_pretrained(directory)
    texts = [f"a photo of a {name}." for name in NAMES]
    padding = {"padding": "max_length", "max_length": 16} if family == "siglip" else {"padding": True}
    tokens = tokenizer(texts, **padding, return_tensors="pt")
    images = [Image.open(colours / "train" / name).convert("RGB") for name in samples["id"]]
    with torch.inference_mode():
        logits = model(**tokens, **processor(images=images, return_tensors="pt")).logits_per_image
    assert samples["prediction"].tolist() == logits.argmax(1).tolist()
    assert len(set(samples["prediction"].tolist())) > 1
    np.testing.assert_allclose(samples["confidence"], logits.softmax(1).max(1).values, rtol=2e-3)
    assert run.record.protocol.logit_scale == pytest.approx(model.logit_scale.exp().item())


def test_class_weights_follow_the_formula(checkpoints, tmp_path):
    import torch

    from vlmbench.heads.prompts import PromptSet

    session = Session(context(tmp_path))
    templates = ("a photo of a {}.", "an image of the {}", "{}")
    directory = checkpoints("clip")
    head = session.text_weights(str(directory), [(name,) for name in NAMES], PromptSet("x", templates))
    library = transformers()
    model = library.CLIPModel.from_pretrained(directory, dtype=torch.float32).eval()
    tokenizer = library.AutoTokenizer.from_pretrained(directory)
    for row, name in enumerate(NAMES):
        with torch.inference_mode():
            found = model.get_text_features(
                **tokenizer([item.format(name) for item in templates], padding=True, return_tensors="pt")
            ).pooler_output
        mean = torch.nn.functional.normalize(found, dim=-1).mean(0)
        np.testing.assert_allclose(head.weights[row], mean / mean.norm(), atol=1e-6)


def test_the_record_says_what_decided_the_number(checkpoints, colours, tmp_path):
    (run,) = run_zeroshot(request(checkpoints("clip"), colours), context(tmp_path))
    record = run.record
    assert (record.task, record.n, record.dataset.split) == ("zeroshot", 15, "test")
    assert record.protocol.templates == ["a photo of a {}."]
    assert record.protocol.classnames == list(NAMES)
    assert record.protocol.precision == "fp32"
    assert len(record.model.weights_sha256) == 64
    facts = json.loads((run.path / "run.json").read_text())
    assert facts["images_encoded"] == 15
    samples = read_samples(run)
    accuracy = float((samples["prediction"] == samples["label"]).mean())
    assert record.metrics["accuracy"].value == pytest.approx(accuracy)
    assert record.metrics["accuracy"].low <= accuracy <= record.metrics["accuracy"].high


def test_the_same_run_gives_the_same_bytes(checkpoints, colours, tmp_path):
    runs = [run_zeroshot(request(checkpoints("clip"), colours), context(tmp_path / name))[0] for name in "ab"]
    for name in ("result.json", "samples.parquet"):
        assert (runs[0].path / name).read_bytes() == (runs[1].path / name).read_bytes()


def test_a_second_run_loads_no_model_and_reads_no_image(checkpoints, colours, tmp_path, monkeypatch):
    first = run_zeroshot(request(checkpoints("clip"), colours), context(tmp_path))[0]
    monkeypatch.setattr("vlmbench.session.models.load_model", lambda *_: pytest.fail("the model was loaded"))
    monkeypatch.setattr("vlmbench.data.loading.decode", lambda *_: pytest.fail("an image was decoded"))
    again = context(tmp_path)
    second = run_zeroshot(request(checkpoints("clip"), colours), again)[0]
    assert second.record == first.record
    assert any("0 images encoded, 15 from the store" in note for note in again.reporter.notes)


@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_batch_size_and_workers_move_no_prediction(family, checkpoints, colours, tmp_path):
    found, layers = [], []
    for batch_size, workers in [(1, 0), (7, 1), (64, 2)]:
        session = Session(context(tmp_path / f"{batch_size}", batch_size=batch_size, workers=workers))
        run = run_zeroshot(request(checkpoints(family), colours), session.context, session)[0]
        found.append(read_samples(run)["prediction"].tolist())
        features = session.features(str(checkpoints(family)), Selection(f"folder:{colours}", "test"))
        x = np.asarray(features.x)
        layers.append(x / np.linalg.norm(x, axis=1, keepdims=True))
    assert found[0] == found[1] == found[2]
    np.testing.assert_allclose(layers[0], layers[1], atol=1e-5)
    np.testing.assert_allclose(layers[0], layers[2], atol=1e-5)


def test_each_model_is_loaded_once_and_each_image_decoded_once(checkpoints, colours, tmp_path, monkeypatch):
    loaded, decoded = [], []
    load, decode = models.load_model, encode.load
    monkeypatch.setattr(models, "load_model", lambda files, *more: loaded.append(files.system) or load(files, *more))

    def counting(split, rows, make, **options):
        decoded.extend(split.ids[row] for row in rows)
        return decode(split, rows, make, **options)

    monkeypatch.setattr(encode, "load", counting)
    other = tmp_path / "other"
    for name in ("red", "blue"):
        (other / name).mkdir(parents=True)
        Image.new("RGB", (9, 9), name).save(other / name / "one.png")
    asked = ZeroShotRequest(
        models=[str(checkpoints("clip")), str(checkpoints("siglip"))],
        datasets=[f"folder:{colours}", f"folder:{other}"],
        prompts="default,name",
    )
    runs = run_zeroshot(asked, context(tmp_path))
    assert len(runs) == 8
    assert sorted(loaded) == ["random-clip", "random-siglip"]
    assert len(decoded) == len(set(decoded)) == 17


def test_a_stopped_run_goes_on_at_the_first_missing_shard(checkpoints, colours, tmp_path, monkeypatch):
    monkeypatch.setattr("vlmbench.session.features.ROWS", 4)
    model = str(checkpoints("clip"))
    whole = Session(context(tmp_path / "whole", batch_size=4)).features(model, Selection(f"folder:{colours}", "test")).x
    write = FeatureEntry.write_shard

    def stop(self, covered, rows, layers):
        if covered.start == 8:
            raise KeyboardInterrupt
        write(self, covered, rows, layers)

    with monkeypatch.context() as patch:
        patch.setattr(FeatureEntry, "write_shard", stop)
        with pytest.raises(KeyboardInterrupt):
            Session(context(tmp_path, batch_size=4)).features(model, Selection(f"folder:{colours}", "test"))
    found = Session(context(tmp_path, batch_size=4)).features(model, Selection(f"folder:{colours}", "test"))
    assert found.encoded == 7
    assert (np.asarray(found.x) == np.asarray(whole)).all()


def test_a_damaged_shard_is_encoded_again(checkpoints, colours, tmp_path, monkeypatch):
    monkeypatch.setattr("vlmbench.session.features.ROWS", 4)
    model, data = str(checkpoints("clip")), f"folder:{colours}"
    first = Session(context(tmp_path, batch_size=4)).features(model, Selection(data, "test"))
    shard = next((tmp_path / "cache" / "features").rglob("000000004.safetensors"))
    content = bytearray(shard.read_bytes())
    content[-5] ^= 255
    shard.write_bytes(bytes(content))
    again = context(tmp_path, batch_size=4)
    second = Session(again).features(model, Selection(data, "test"))
    assert second.encoded == 4
    assert (np.asarray(second.x) == np.asarray(first.x)).all()
    assert any("damaged" in line for line in again.reporter.warnings)


def test_both_layers_come_from_one_pass(checkpoints, colours, tmp_path):
    session = Session(context(tmp_path))
    model, data = str(checkpoints("clip")), f"folder:{colours}"
    before = session.features(model, Selection(data, "test"), layer="pre_proj")
    after = session.features(model, Selection(data, "test"), layer="proj")
    assert (before.encoded, after.encoded) == (15, 0)
    assert (before.x.shape, after.x.shape) == ((15, 32), (15, 24))


def test_a_limit_is_a_sample_over_all_classes(checkpoints, colours, tmp_path):
    session = Session(context(tmp_path))
    found = session.features(str(checkpoints("clip")), Selection(f"folder:{colours}", "train", limit=12))
    assert len(found.ids) == 12
    assert set(found.y.tolist()) == {0, 1, 2}
    assert found.protocol["limit"] == 12
    whole = session.features(str(checkpoints("clip")), Selection(f"folder:{colours}", "train"))
    assert whole.dataset.fingerprint != found.dataset.fingerprint


def damaged(tmp_path: Path) -> Path:
    root = tmp_path / "damaged"
    for name in ("red", "blue"):
        (root / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (8, 8), name).save(root / name / f"{number}.png")
    (root / "red" / "1.jpg").write_text("this is text")
    return root


def test_a_bad_image_ends_the_run_and_is_named(checkpoints, tmp_path):
    with pytest.raises(InputError, match=r"red/1\.jpg") as caught:
        run_zeroshot(request(checkpoints("clip"), damaged(tmp_path)), context(tmp_path))
    assert caught.value.exit_code == 3
    assert caught.value.where == f"folder:{tmp_path / 'damaged'}, red/1.jpg"


def test_a_captioner_is_no_encoder(colours, tmp_path):
    with pytest.raises(UsageError, match="is a captioner") as caught:
        run_zeroshot(ZeroShotRequest(models=["tiny-captioner"], datasets=[f"folder:{colours}"]), context(tmp_path))
    assert caught.value.fix == "vlmbench caption -m tiny-captioner"


def test_a_bad_image_may_be_skipped_and_is_counted(checkpoints, tmp_path):
    root = damaged(tmp_path)
    asked = context(tmp_path, on_bad_image="skip")
    (run,) = run_zeroshot(request(checkpoints("clip"), root), asked)
    assert run.record.n == 6
    assert run.record.dataset.skipped == ("red/1.jpg",)
    assert any("1 damaged image of" in line for line in asked.reporter.warnings)
    with pytest.raises(InputError, match=r"red/1\.jpg"):
        run_zeroshot(request(checkpoints("clip"), root), context(tmp_path))


def test_only_bad_images_is_an_error_even_when_they_are_skipped(checkpoints, tmp_path):
    for name in ("red", "blue"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "1.jpg").write_text("text")
    with pytest.raises(InputError, match="none of the 2 images"):
        run_zeroshot(request(checkpoints("clip"), tmp_path / "data"), context(tmp_path, on_bad_image="skip"))


def test_class_names_from_a_file_take_the_place_of_the_datasets(checkpoints, colours, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("a blue circle\na green circle\na red circle\n")
    (run,) = run_zeroshot(request(checkpoints("clip"), colours, classnames=names), context(tmp_path))
    assert run.record.protocol.classnames == ["a blue circle", "a green circle", "a red circle"]


def test_a_prompt_longer_than_the_context_is_told_of(checkpoints, colours, tmp_path):
    asked = context(tmp_path)
    run_zeroshot(request(checkpoints("clip"), colours, prompts="photo " * 30 + "{}"), asked)
    assert any("16 tokens" in line for line in asked.reporter.warnings)


def test_a_backbone_cannot_classify_zero_shot(checkpoints, colours, tmp_path):
    with pytest.raises(UsageError, match="resnet") as caught:
        run_zeroshot(request(checkpoints("resnet"), colours), context(tmp_path))
    assert "linear-probe" in caught.value.fix


def test_models_that_are_not_there(colours, tmp_path):
    for name, message in [
        ("tiny-clap", "no such model: tiny-clap"),
        ("./nowhere", "no such model directory"),
        ("nobody/nothing", "not on this machine"),
    ]:
        with pytest.raises(AbsentError, match=message) as caught:
            run_zeroshot(request(name, colours), context(tmp_path, offline=True))
        assert caught.value.exit_code == 4
        assert caught.value.fix


def test_an_output_that_cannot_be_written_is_found_before_any_work(checkpoints, colours, tmp_path, monkeypatch):
    (tmp_path / "out").write_text("a file")
    monkeypatch.setattr(Session, "features", lambda *_: pytest.fail("worked before looking"))
    with pytest.raises(Exception, match="cannot write") as caught:
        run_zeroshot(request(checkpoints("clip"), colours), context(tmp_path))
    assert caught.value.exit_code == 3


def test_images_of_the_wrong_size_are_the_checkpoints_fault(checkpoints, colours, tmp_path):
    directory = shutil.copytree(checkpoints("clip"), tmp_path / "wrong")
    facts = json.loads((directory / "preprocessor_config.json").read_text())
    facts["crop_size"] = {"height": 24, "width": 24}
    (directory / "preprocessor_config.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match="does not take images of 24 x 24 pixels"):
        run_zeroshot(request(directory, colours), context(tmp_path))


def test_an_activation_that_disagrees_is_told_of(checkpoints, colours, tmp_path):
    directory = shutil.copytree(checkpoints("clip"), tmp_path / "mixed")
    config = json.loads((directory / "config.json").read_text())
    config["text_config"]["hidden_act"] = "gelu"
    (directory / "config.json").write_text(json.dumps(config))
    asked = context(tmp_path)
    run_zeroshot(request(directory, colours), asked)
    assert any("its text side says gelu" in line for line in asked.reporter.warnings)


@pytest.mark.parametrize("family", ["metaclip2", "altclip", "chinese-clip", "align", "blip"])
def test_every_dual_encoder_reaches_a_record(family, checkpoints, colours, tmp_path):
    (run,) = run_zeroshot(request(checkpoints(family), colours), context(tmp_path))
    assert run.record.n == 15
    assert run.record.model.kind == "dual-encoder"
