"""MAGIC against a plain statement of its formula, on small random models."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlmbench.captioners.base import Captioner, Captioning, Decoding, Item
from vlmbench.captioners.checkpoint import find_checkpoint
from vlmbench.captioners.magic import LanguageModel, Magic, fluency, softmax
from vlmbench.captioners.names import CaptionerRef
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.records.store import read_samples
from vlmbench.session.context import Context
from vlmbench.session.session import Session
from vlmbench.tasks.captions.captioned import CaptionerEvalRequest, run_captioner_eval
from vlmbench.tasks.captions.captioners import captioner_in
from vlmbench.tasks.captions.scoring import Scoring

PROMPT = "a photo of"


def opened(session: Session, name: str, decoding: Decoding) -> Captioner:
    return captioner_in(session, CaptionerRef.parse(name), Captioning(decoding))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def plain(lm: Path, clip: Path, image: Image.Image, *, alpha: float, beta: float, k: int, length: int) -> str:
    """Equation 5, token by token, by transformers' own `logits_per_image`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, CLIPImageProcessorPil, CLIPModel

    language, words = AutoModelForCausalLM.from_pretrained(lm).eval(), AutoTokenizer.from_pretrained(lm)
    sees, tokens = CLIPModel.from_pretrained(clip).eval(), AutoTokenizer.from_pretrained(clip)
    pixels = CLIPImageProcessorPil.from_pretrained(clip)(images=image, return_tensors="pt")["pixel_values"]
    ids = [words.bos_token_id, *words(PROMPT, add_special_tokens=False)["input_ids"]]
    with torch.inference_mode():
        for _ in range(length):
            output = language(torch.tensor([ids]), output_hidden_states=True)
            p = torch.softmax(output.logits[0, -1].double(), -1).numpy()
            past = output.hidden_states[-1][0].double().numpy()
            best, chosen = -math.inf, -1
            top = sorted(range(len(p)), key=lambda v: -p[v])[:k]
            texts = [words.decode([*ids, v], skip_special_tokens=True) for v in top]
            encoded = tokens(texts, padding=True, truncation=True, max_length=16, return_tensors="pt")
            seen = torch.softmax(sees(**encoded, pixel_values=pixels).logits_per_image[0].double(), -1).numpy()
            for place, v in enumerate(top):
                state = language(torch.tensor([[*ids, v]]), output_hidden_states=True).hidden_states[-1][0, -1]
                penalty = max(cosine(state.double().numpy(), before) for before in past)
                score = (1 - alpha) * p[v] - alpha * penalty + beta * seen[place]
                if score > best:
                    best, chosen = score, v
            if chosen == words.eos_token_id:
                break
            ids.append(chosen)
            if words.decode(ids[4:], skip_special_tokens=True).rstrip().endswith("."):
                break
    return " ".join(words.decode(ids, skip_special_tokens=True).split())


@pytest.mark.parametrize(("alpha", "beta"), [(0.1, 2.0), (0.6, 0.0), (0.0, 8.0)])
def test_magic_is_the_paper_s_formula(
    alpha: float,
    beta: float,
    captioner: Callable[[str], Path],
    checkpoints: Callable[[str], Path],
    pictures: list[Image.Image],
    tmp_path: Path,
) -> None:
    lm, clip = captioner("gpt2"), checkpoints("clip")
    session = Session(Context(cache_dir=tmp_path))
    name = f"magic:{lm},{clip}?alpha={alpha}&beta={beta}&k=7"
    magic = opened(session, name, Decoding(prompt=PROMPT, max_new_tokens=5))
    items = [Item(str(n), str(n), picture) for n, picture in enumerate(pictures[:3])]
    given = [done.caption for batch in magic.stream(items) for done in batch]
    wanted = [plain(lm, clip, item.image, alpha=alpha, beta=beta, k=7, length=5) for item in items]
    assert given == wanted
    if beta > 2:
        assert len(set(given)) > 1, "the image has to matter"


def test_the_paper_s_constants_and_the_key(
    captioner: Callable[[str], Path], checkpoints: Callable[[str], Path], tmp_path: Path
) -> None:
    session = Session(Context(cache_dir=tmp_path))
    magic = opened(session, f"magic:{captioner('gpt2')},{checkpoints('clip')}", Decoding())
    assert {name: magic.decoding[name] for name in ("alpha", "beta", "k")} == {"alpha": 0.1, "beta": 2.0, "k": 45}
    assert magic.system == "magic:gpt2,random-clip"
    other = opened(session, f"magic:{captioner('gpt2')},{checkpoints('siglip')}", Decoding())
    assert other.facts.weights_sha256 != magic.facts.weights_sha256


def test_scores_by_hand() -> None:
    past = np.array([[1.0, 0.0], [0.0, 2.0]])
    ahead = np.array([[3.0, 0.0], [1.0, 1.0]])
    scores = fluency(np.array([0.5, 0.25]), past, ahead, 0.1)
    np.testing.assert_allclose(scores, [0.45 - 0.1, 0.225 - 0.1 / math.sqrt(2)])
    np.testing.assert_allclose(softmax(np.array([0.0, math.log(3)])), [0.25, 0.75])


def test_a_model_without_a_cache_is_read_anew(captioner: Callable[[str], Path], tmp_path: Path) -> None:
    checkpoint = find_checkpoint(str(captioner("gpt2")), tmp_path)
    language = LanguageModel(checkpoint, "cpu", "fp32")
    ids = language.start(PROMPT)
    (kept,) = language.read([ids], 5)
    language.caches = False
    (anew,) = language.read([ids], 5)
    assert kept.tokens == anew.tokens
    np.testing.assert_array_equal(kept.p, anew.p)
    np.testing.assert_allclose(kept.ahead, anew.ahead, atol=1e-5)


def test_a_beginning_is_read_once(
    captioner: Callable[[str], Path], checkpoints: Callable[[str], Path], pictures: list[Image.Image], tmp_path: Path
) -> None:
    session = Session(Context(cache_dir=tmp_path))
    name = f"magic:{captioner('gpt2')},{checkpoints('clip')}?beta=0"
    items = [Item(str(n), str(n), picture) for n, picture in enumerate(pictures)]
    magic = opened(session, name, Decoding(max_new_tokens=4))
    assert isinstance(magic, Magic)
    beginnings: list[tuple[int, ...]] = []
    read = magic.language.read
    magic.language.read = lambda texts, k: (beginnings.extend(map(tuple, texts)), read(texts, k))[1]  # type: ignore[method-assign]
    together = [done.caption for batch in magic.stream(items) for done in batch]
    assert len(set(together)) == 1, "without the image's say all are alike"
    assert len(beginnings) == len(set(beginnings)) <= 4


@pytest.mark.parametrize("query", ["beta=-1", "alpha=2", "k=0", "beta=nan", "beta=x", "gamma=1", "beta"])
def test_settings_that_are_none(
    query: str, captioner: Callable[[str], Path], checkpoints: Callable[[str], Path], tmp_path: Path
) -> None:
    session = Session(Context(cache_dir=tmp_path))
    with pytest.raises(UsageError, match=r"MAGIC needs|unknown or not numbers"):
        opened(session, f"magic:{captioner('gpt2')},{checkpoints('clip')}?{query}", Decoding())


def test_the_published_language_models_begin_with_their_own_token(captioner: Callable[[str], Path]) -> None:
    from transformers import AutoTokenizer

    language = LanguageModel.__new__(LanguageModel)
    language.tokenizer = AutoTokenizer.from_pretrained(captioner("gpt2"))
    assert language.start("") == [language.tokenizer.bos_token_id]
    language = LanguageModel.__new__(LanguageModel)
    language.tokenizer = AutoTokenizer.from_pretrained(captioner("gpt2"))
    language.tokenizer.add_tokens(["<-start_of_text->"])
    (first,) = language.start("")
    assert first == len(language.tokenizer) - 1
    assert language.text([first, *language.tokenizer("a photo")["input_ids"]]) == "a photo"


def test_a_captioner_s_decoder_is_a_language_model_too(
    captioner: Callable[[str], Path], checkpoints: Callable[[str], Path], pictures: list[Image.Image], tmp_path: Path
) -> None:
    session = Session(Context(cache_dir=tmp_path))
    magic = opened(session, f"magic:{captioner('vit-gpt2')},{checkpoints('clip')}", Decoding(max_new_tokens=3))
    ((done,),) = magic.stream([Item("0", "0", pictures[0])])
    assert done.caption is not None


def test_what_magic_does_not_take(
    captioner: Callable[[str], Path], checkpoints: Callable[[str], Path], tmp_path: Path
) -> None:
    session = Session(Context(cache_dir=tmp_path))
    for options in (Decoding(num_beams=2), Decoding(temperature=1.0), Decoding(shots=1)):
        with pytest.raises(UsageError, match="its own search"):
            opened(session, f"magic:{captioner('gpt2')},{checkpoints('clip')}", options)
    with pytest.raises(UsageError, match="not a captioner"):
        opened(session, f"magic:{captioner('gpt2')}", Decoding())
    with pytest.raises(UsageError, match="no text encoder"):
        opened(session, f"magic:{captioner('gpt2')},{checkpoints('vit')}", Decoding())
    magic = opened(session, f"magic:{captioner('blip')},{checkpoints('clip')}", Decoding())
    with pytest.raises(InputError, match="as a language model"):
        list(magic.stream([Item("0", "0", Image.new("RGB", (8, 8)))]))


def test_two_settings_stand_apart_in_one_call(
    captioner: Callable[[str], Path], checkpoints: Callable[[str], Path], tmp_path: Path
) -> None:
    name = f"magic:{captioner('gpt2')},{checkpoints('clip')}"
    context = Context(cache_dir=tmp_path / "cache", out=tmp_path / "out")
    refs, scoring = [CaptionerRef.parse(f"{name}?beta={beta}") for beta in (1, 3)], Scoring(("bleu_1",), resamples=100)
    how = Captioning(Decoding(max_new_tokens=2))
    runs = run_captioner_eval(CaptionerEvalRequest(refs, "scenes", limit=2, scoring=scoring, how=how), context)
    assert [run.record.system for run in runs] == [f"{name}?beta=1", f"{name}?beta=3"]
    assert [run.record.protocol.beta for run in runs] == [1.0, 3.0]


@pytest.mark.parametrize("name", ["siglip", "siglip2", "siglip2-naflex"])
def test_siglip_guides_and_judges(
    name: str, captioner: Callable[[str], Path], checkpoints: Callable[[str], Path], tmp_path: Path
) -> None:
    context = Context(cache_dir=tmp_path / "cache", out=tmp_path / "out")
    ref = CaptionerRef.parse(f"magic:{captioner('gpt2')},{checkpoints(name)}?beta=8")
    scoring = Scoring(("clipscore", "refclipscore"), resamples=100, clip=str(checkpoints(name)))
    how = Captioning(Decoding(max_new_tokens=3))
    (run,) = run_captioner_eval(CaptionerEvalRequest([ref], "scenes", limit=4, scoring=scoring, how=how), context)
    assert run.record.system == f"magic:gpt2,random-{name}"
    assert len(set(read_samples(run)["candidate"])) > 1, "the image has to matter"
    assert set(run.record.metrics) == {"clipscore", "refclipscore"}
