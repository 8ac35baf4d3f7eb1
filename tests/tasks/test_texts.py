"""Texts are embedded once, a batch at a time; a run that is stopped goes on."""

import numpy as np
import pytest

from vlmbench.foundations.progress import Silent
from vlmbench.session.context import Context
from vlmbench.session.session import Session

TEXTS = [f"a {'photo ' * (n % 3)}of {'many ' * (n // 3)}dog" for n in range(11)]


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setattr("vlmbench.features.texts.TEXT_BATCH", 4)

    def make(place="cache"):
        return Session(Context(cache_dir=tmp_path / place, reporter=Silent()))

    return make


def watched(session, model, stop_after=None):
    """The batches that the model is given; it is stopped after so many."""
    encoder, batches = session.model(model).encoder, []
    encode = encoder.encode_texts

    def counting(texts):
        if len(batches) == stop_after:
            raise KeyboardInterrupt
        batches.append(list(texts))
        return encode(texts)

    encoder.encode_texts = counting
    return batches


def test_a_stopped_run_goes_on_at_the_batch_it_was_at(checkpoints, session):
    model = str(checkpoints("clip"))
    whole, scale = session("whole").text_embeddings(model, TEXTS)
    first = session()
    watched(first, model, stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        first.text_embeddings(model, TEXTS)
    second = session()
    batches = watched(second, model)
    found, found_scale = second.text_embeddings(model, TEXTS)
    assert batches == [TEXTS[8:]]
    assert found.tobytes() == whole.tobytes()
    assert found_scale == scale
    third = session()
    third.text_embeddings(model, TEXTS)
    assert not third.model(model).loaded


def test_a_text_that_stands_twice_is_embedded_once(checkpoints, session):
    model = str(checkpoints("clip"))
    one = session()
    batches = watched(one, model)
    twice, _ = one.text_embeddings(model, [*TEXTS, *reversed(TEXTS)])
    assert [len(batch) for batch in batches] == [4, 4, 3]
    assert twice[: len(TEXTS)].tobytes() == one.text_embeddings(model, TEXTS)[0].tobytes()
    np.testing.assert_array_equal(twice[len(TEXTS) :], twice[: len(TEXTS)][::-1])


def test_a_stopped_run_of_many_templates_goes_on_too(checkpoints, colours, session):
    from vlmbench.tasks.zeroshot import ZeroShotRequest, run_zeroshot

    model = str(checkpoints("clip"))
    first = session()
    watched(first, model, stop_after=4)
    request = ZeroShotRequest([model], [f"folder:{colours}"], prompts="clip7")
    with pytest.raises(KeyboardInterrupt):
        run_zeroshot(request, first.context, first)
    second = session()
    batches = watched(second, model)
    run_zeroshot(request, second.context, second)
    assert len(batches) == -(-3 * 7 // 4) - 4
