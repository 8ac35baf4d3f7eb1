import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.sparse import issparse

from vlmbench.encoders.asif import relative
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.progress import Silent
from vlmbench.records.store import read_samples
from vlmbench.session import asif as module
from vlmbench.session.context import Context
from vlmbench.session.images import Selection
from vlmbench.session.session import Session
from vlmbench.tasks.predict import find_images, open_predictor
from vlmbench.tasks.probe.fit import ProbeRequest
from vlmbench.tasks.probe.run import run_linear_probe
from vlmbench.tasks.retrieval import RetrievalRequest, run_retrieval
from vlmbench.tasks.zeroshot import ZeroShotRequest, run_zeroshot

CAPTIONS = ["a red circle", "the blue square", "many green dog", "a cat", "an image of a circle", "a photo with a dog"]


@pytest.fixture(scope="module")
def anchors(tmp_path_factory):
    root = tmp_path_factory.mktemp("anchors")
    generator = np.random.default_rng(0)
    lines = []
    for number, caption in enumerate(CAPTIONS):
        Image.fromarray(generator.integers(0, 255, (32, 32, 3)).astype(np.uint8)).save(root / f"{number}.png")
        lines.append(json.dumps({"file_name": f"{number}.png", "captions": [caption, caption + " ."]}))
    (root / "metadata.jsonl").write_text("\n".join(lines))
    return f"folder:{root}"


def context(tmp_path):
    return Context(out=tmp_path / "out", cache_dir=tmp_path / "cache", reporter=Silent())


@pytest.mark.parametrize(("text", "k"), [("clip", 5), ("bert", 5), ("bert", 2)])
def test_any_two_encoders_become_a_zero_shot_classifier(text, k, checkpoints, anchors, colours, tmp_path):
    vision, words = str(checkpoints("vit")), str(checkpoints(text))
    session = Session(replace(context(tmp_path), batch_size=5))
    name = f"asif:{vision}+{words}@{anchors}?k={k}&p=3"
    (run,) = run_zeroshot(ZeroShotRequest([name], [f"folder:{colours}"]), session.context, session)
    images = session.features(vision, Selection(f"folder:{colours}", "test"), layer="pre_proj")
    coupled = session.features(vision, Selection(anchors, "all"), layer="pre_proj")
    captions = [caption for own in coupled.items.captions for caption in own]
    prompts = [f"a photo of a {c}." for c in ("blue", "green", "red")]
    x = relative(np.asarray(images.x), np.repeat(coupled.x, 2, axis=0), k=k, p=3).toarray()
    own = [session.text_embeddings(words, texts)[0] for texts in (prompts, captions)]
    scores = x @ relative(own[0], own[1], k=k, p=3).toarray().T
    assert read_samples(run)["prediction"].tolist() == scores.argmax(1).tolist()
    assert run.record.model.kind == "asif"
    assert run.record.protocol.asif_k == k
    found = session.features(name, Selection(f"folder:{colours}", "test"), sparse=True).x
    assert issparse(found) == (k == 2), "12 anchors are many for 2 and few for 5"
    np.testing.assert_allclose(found.toarray() if k == 2 else found, x, atol=1e-6)
    np.testing.assert_array_equal(session.features(name, Selection(f"folder:{colours}", "test")).x, x)
    part = session.features(name, Selection(f"folder:{colours}", "test", part=(2, 3)))
    assert part.ids == session.features(vision, Selection(f"folder:{colours}", "test"), layer="pre_proj").ids[5:10]
    np.testing.assert_allclose(part.x, x[5:10], atol=1e-6)


@pytest.mark.parametrize("k", [5, 2])
def test_a_probe_on_it_predicts_images(k, checkpoints, anchors, colours, tmp_path):
    session, data = Session(context(tmp_path)), f"folder:{colours}"
    name = f"asif:{checkpoints('vit')}+{checkpoints('bert')}@{anchors}?k={k}&p=3"
    request = ProbeRequest([name], [data], shots=(4,), seeds=1, layer="proj", save=tmp_path / "probe.safetensors")
    run_linear_probe(request, session.context, session)
    predictor = open_predictor(request.save, context(tmp_path))
    paths = find_images([colours / "test"])
    found = list(predictor.predict(paths))
    features = session.features(name, Selection(data, "test"))
    wanted = dict(zip(features.ids, predictor.probe.probabilities(np.asarray(features.x)), strict=True))
    assert len(found) == 15
    for one in found:
        (id,) = [id for id in wanted if one.image.endswith(id)]
        np.testing.assert_allclose(one.probabilities, wanted[id], atol=1e-5)


def test_it_retrieves_too(checkpoints, anchors, tmp_path):
    name = f"asif:{checkpoints('vit')}+{checkpoints('bert')}@{anchors}?k=2"
    (run,) = run_retrieval(RetrievalRequest([name], [anchors]), context(tmp_path))
    assert run.record.metrics["image_to_text_recall_5"].value > 0.5, "anchors find themselves"


@pytest.mark.parametrize("k", [800, 2])
def test_a_second_run_loads_no_model(k, checkpoints, anchors, colours, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CAPTIONS", 5)
    name = f"asif:{checkpoints('vit')}+{checkpoints('bert')}@{anchors}?k={k}"
    request = ZeroShotRequest([name], [f"folder:{colours}"])
    first = run_zeroshot(request, context(tmp_path))[0]
    monkeypatch.setattr("vlmbench.session.models.load_model", lambda *_: pytest.fail("a model was loaded"))
    assert run_zeroshot(request, context(tmp_path))[0].record == first.record


def test_damaged_features_of_the_anchors_are_made_again(checkpoints, anchors, colours, tmp_path):
    name = f"asif:{checkpoints('vit')}+{checkpoints('bert')}@{anchors}?k=2"
    request = ZeroShotRequest([name], [f"folder:{colours}"])
    first = run_zeroshot(request, context(tmp_path))[0].record
    shards = sorted((tmp_path / "cache" / "features").glob("*/*.safetensors"))
    assert len(shards) == 2
    for shard in shards:
        shard.write_bytes(b"rubbish")
    assert run_zeroshot(request, context(tmp_path))[0].record == first


def test_representations_that_have_to_be_dense_are_refused_where_they_are_too_many(
    checkpoints, anchors, colours, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "LARGEST", 100)
    name = f"asif:{checkpoints('vit')}+{checkpoints('bert')}@{anchors}?k=2"
    session = Session(context(tmp_path))
    assert session.features(name, Selection(f"folder:{colours}", "test"), sparse=True).x.shape == (15, 12)
    with pytest.raises(InputError, match="15 x 12 relative representations do not fit"):
        session.features(name, Selection(f"folder:{colours}", "test"))


def test_anchors_need_captions(checkpoints, colours, tmp_path):
    name = f"asif:{checkpoints('vit')}+{checkpoints('bert')}@folder:{colours}"
    with pytest.raises(InputError, match="anchors need some"):
        run_zeroshot(ZeroShotRequest([name], [f"folder:{colours}"]), context(tmp_path))
