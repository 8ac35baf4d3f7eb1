import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vlmbench.cli.app import app
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.progress import Silent
from vlmbench.records.store import read_samples
from vlmbench.report.verify import verify_run
from vlmbench.session.context import Context
from vlmbench.session.images import Selection
from vlmbench.session.session import Session
from vlmbench.tasks.retrieval import RetrievalRequest, run_retrieval

WORDS = ["a red circle", "the blue square", "many green dog", "a cat", "an image of a circle", "a photo with a dog"]


@pytest.fixture(scope="module")
def captioned(tmp_path_factory):
    root = tmp_path_factory.mktemp("captioned")
    generator = np.random.default_rng(0)
    lines = []
    for number in range(6):
        Image.fromarray(generator.integers(0, 255, (32, 32, 3)).astype(np.uint8)).save(root / f"{number}.png")
        texts = [WORDS[number], WORDS[number] + " ."][: 1 + number % 2]
        lines.append(json.dumps({"file_name": f"{number}.png", "captions": texts}))
    (root / "metadata.jsonl").write_text("\n".join(lines))
    return f"folder:{root}"


def context(tmp_path, **more):
    return Context(out=tmp_path / "out", cache_dir=tmp_path / "cache", reporter=Silent(), **more)


def unit(values):
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_ranks_are_those_of_the_models_own_cosines(checkpoints, captioned, tmp_path):
    session = Session(context(tmp_path))
    model = str(checkpoints("clip"))
    (run,) = run_retrieval(RetrievalRequest([model], [captioned]), session.context, session)
    features = session.features(model, Selection(captioned, "all"))
    texts = [text for own in features.items.captions for text in own]
    owner = np.repeat(np.arange(6), [len(own) for own in features.items.captions])
    scores = unit(np.asarray(features.x)) @ unit(session.text_embeddings(model, texts)[0]).T
    samples = read_samples(run)
    expected = [(scores[i][owner != i] > scores[i][owner == i].max()).sum() for i in range(6)]
    assert samples["image_rank"].tolist() == expected
    assert run.record.protocol.captions == 9
    assert verify_run(run) == []


def test_a_second_run_loads_no_model(checkpoints, captioned, tmp_path, monkeypatch):
    request = RetrievalRequest([str(checkpoints("clip"))], [captioned])
    first = run_retrieval(request, context(tmp_path))[0]
    monkeypatch.setattr("vlmbench.session.models.load_model", lambda *_: pytest.fail("the model was loaded"))
    assert run_retrieval(request, context(tmp_path))[0].record == first.record


def test_reranking_orders_the_nearest_by_cosine_and_matching_head(checkpoints, captioned, tmp_path):
    session = Session(context(tmp_path))
    model = str(checkpoints("blip"))
    (run,) = run_retrieval(RetrievalRequest([model], [captioned], rerank=99), session.context, session)
    features = session.features(model, Selection(captioned, "all"))
    texts = [text for own in features.items.captions for text in own]
    owner = np.repeat(np.arange(6), [len(own) for own in features.items.captions])
    scores = unit(np.asarray(features.x)) @ unit(session.text_embeddings(model, texts)[0]).T
    encoder, split = session.model(model).encoder, features.items
    for row in range(6):
        from vlmbench.data.images import decode

        scores[row] += encoder.match(encoder.preprocess(decode(split.images.read(row), "x")), texts)
    samples = read_samples(run)
    assert samples["image_rank"].tolist() == [
        (scores[i][owner != i] > scores[i][owner == i].max()).sum() for i in range(6)
    ]
    back = [(scores[:, t] > scores[owner[t], t]).sum() for t in range(len(texts))]
    assert [rank for own in samples["caption_ranks"] for rank in own] == back
    assert run.record.protocol.rerank == 99


def test_what_cannot_be_retrieved(checkpoints, captioned, colours, tmp_path):
    with pytest.raises(UsageError, match="no matching head"):
        run_retrieval(RetrievalRequest([str(checkpoints("clip"))], [captioned], rerank=3), context(tmp_path))
    with pytest.raises(InputError, match="without captions"):
        run_retrieval(RetrievalRequest([str(checkpoints("clip"))], [f"folder:{colours}"]), context(tmp_path))


def test_from_the_command_line_to_a_table(captioned, tmp_path):
    arguments = ["retrieval", "-m", "tiny-clip", "-d", captioned, "-o", tmp_path / "o", "--cache-dir", tmp_path / "c"]
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert done.exit_code == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    assert result["task"] == "retrieval"
    assert set(result["metrics"]["text_to_image_recall_10"]) == {"value", "low", "high"}
    assert "recall_1" in (tmp_path / "o" / "tables" / "retrieval.csv").read_text()
