"""Retrieval and ASIF against plain statements of their formulas, on a small random CLIP."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vlmbench.captioners.anchors import unit
from vlmbench.captioners.base import Captioning, Decoding
from vlmbench.captioners.names import CaptionerRef
from vlmbench.cli.app import app
from vlmbench.foundations.errors import AbsentError, InputError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.progress import Silent
from vlmbench.records.result import Record
from vlmbench.session.context import Context
from vlmbench.session.session import Session
from vlmbench.tasks.captions.captioned import CaptionerEvalRequest, run_captioner_eval
from vlmbench.tasks.captions.captioners import unit_embeddings
from vlmbench.tasks.captions.captioning import Captions, write_coco_results
from vlmbench.tasks.captions.dataset import caption_dataset
from vlmbench.tasks.captions.scoring import Scoring
from vlmbench.tasks.retrieval import RetrievalRequest, run_retrieval


def captioned_by(context: Context, name: str, *data: str, how: Captioning | None = None, **more: int) -> Captions:
    return caption_dataset(Session(context), CaptionerRef.parse(name), *data, how=how, **more)


COLOURS = ["red", "green", "blue"]


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``folder:`` set with a training and a test split: 9 and 6 noisy images, two captions each."""
    root = tmp_path_factory.mktemp("captioned")
    generator = np.random.default_rng(0)
    for split, count in (("train", 9), ("test", 6)):
        (root / split).mkdir()
        lines = []
        for number in range(count):
            pixels = generator.integers(0, 256, (30 + number, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / split / f"{number}.png")
            colour = COLOURS[number % 3]
            captions = [f"a photo of a {colour} dog", f"the {colour} circle with many cat {'of ' * number}"]
            lines.append(
                json.dumps({"file_name": f"{number}.png", "image_id": f"{split}-{number}", "captions": captions})
            )
        (root / split / "metadata.jsonl").write_text("\n".join(lines))
    return root


def by_hand(clip: Path, root: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Unit-norm features of test images, training images (a row a caption) and captions, by transformers itself."""
    import torch
    from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

    model, tokenizer = CLIPModel.from_pretrained(clip).eval(), AutoTokenizer.from_pretrained(clip)
    processor = CLIPImageProcessorPil.from_pretrained(clip)
    rows = [json.loads(line) for line in (root / "train/metadata.jsonl").read_text().splitlines()]
    captions = [caption for row in rows for caption in row["captions"]]

    def encoded(paths: list[Path]) -> np.ndarray:
        pixels = processor(images=[Image.open(path) for path in paths], return_tensors="pt")["pixel_values"]
        return unit(model.get_image_features(pixel_values=pixels).pooler_output.numpy())

    with torch.inference_mode():
        test = encoded([root / f"test/{number}.png" for number in range(6)])
        train = encoded([root / f"train/{number}.png" for number in range(9) for _ in range(2)])
        tokens = tokenizer(captions, padding=True, truncation=True, max_length=16, return_tensors="pt")
        texts = unit(model.get_text_features(**tokens).pooler_output.numpy())
    return test, train, texts, captions


def test_retrieval_is_the_caption_of_the_highest_cosine(
    checkpoints: Callable[[str], Path], captioned: Path, tmp_path: Path
) -> None:
    clip = checkpoints("clip")
    context = Context(cache_dir=tmp_path, batch_size=4)
    found = captioned_by(context, f"retrieval:{clip}", f"folder:{captioned}")
    test, _, texts, captions = by_hand(clip, captioned)
    wanted = [" ".join(captions[row].split()) for row in (test @ texts.T).argmax(axis=1)]
    assert found.captions == wanted
    assert found.ids == tuple(f"test-{number}" for number in range(6))
    assert found.references["test-1"][0] == "a photo of a green dog"
    assert (found.system, found.model.kind) == ("retrieval:random-clip", "retrieval")


def test_asif_is_the_paper_s_formula(checkpoints: Callable[[str], Path], captioned: Path, tmp_path: Path) -> None:
    clip = checkpoints("clip")
    found = captioned_by(Context(cache_dir=tmp_path), f"asif:{clip}", f"folder:{captioned}")
    test, train, texts, captions = by_hand(clip, captioned)

    def plain(x: np.ndarray, anchors: np.ndarray, k: int, p: int) -> np.ndarray:
        out = np.zeros((len(x), len(anchors)))
        for row, vector in enumerate(x):
            cosines = [float(np.dot(vector, anchor)) for anchor in anchors]
            for place in sorted(range(len(anchors)), key=lambda place: -cosines[place])[:k]:
                out[row, place] = max(cosines[place], 0.0) ** p
            out[row] /= np.linalg.norm(out[row]) or 1.0
        return out

    scores = plain(test, train, 800, 8) @ plain(texts, texts, 800, 8).T
    assert found.captions == [" ".join(captions[row].split()) for row in scores.argmax(axis=1)]


def test_text_embeddings_are_unit_and_come_from_the_store(checkpoints: Callable[[str], Path], tmp_path: Path) -> None:
    texts = ["a dog", "a cat", "a dog"]
    first = unit_embeddings(Session(Context(cache_dir=tmp_path)), str(checkpoints("clip")), texts)
    session = Session(Context(cache_dir=tmp_path))
    again = unit_embeddings(session, str(checkpoints("clip")), texts)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-6)
    assert not session.model(str(checkpoints("clip"))).loaded
    with pytest.raises(UsageError, match="no text encoder"):
        unit_embeddings(session, str(checkpoints("vit")), texts)


@pytest.fixture(scope="module")
def unlike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``folder:`` set whose training captions are all different: 40 of them, and 6 test images."""
    root = tmp_path_factory.mktemp("unlike")
    generator = np.random.default_rng(1)
    for split, count in (("train", 40), ("test", 6)):
        (root / split).mkdir()
        lines = []
        for number in range(count):
            Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(
                root / split / f"{number}.png"
            )
            words = [COLOURS[number % 3], *["many", "the", "dog", "cat", "with"][: number % 6]]
            caption = " ".join(words) + " square" * (number // 6)
            lines.append(json.dumps({"file_name": f"{number}.png", "captions": [caption]}))
        (root / split / "metadata.jsonl").write_text("\n".join(lines))
    return root


def test_what_another_command_stored_of_the_same_texts_does_not_change_the_choice(
    checkpoints: Callable[[str], Path], unlike: Path, tmp_path: Path
) -> None:
    clip, data = str(checkpoints("clip")), f"folder:{unlike}"
    alone = captioned_by(Context(cache_dir=tmp_path / "alone"), f"retrieval:{clip}", data)
    context = Context(out=tmp_path / "out", cache_dir=tmp_path / "shared")
    run_retrieval(RetrievalRequest(models=[clip], datasets=[data], split="train"), context)
    assert captioned_by(context, f"retrieval:{clip}", data).captions == alone.captions
    again = Session(context)
    x, _ = again.text_embeddings(clip, [texts[0] for texts in again.dataset(data).split("train").captions])
    assert not again.model(clip).loaded, "the command before stored the same texts"
    assert np.ptp(np.linalg.norm(x, axis=1)) > 0.01, "those of the session are un-normalised"


def test_captions_chosen_by_an_older_version_s_embeddings_are_made_again(
    checkpoints: Callable[[str], Path], unlike: Path, tmp_path: Path
) -> None:
    model, data = f"retrieval:{checkpoints('clip')}", f"folder:{unlike}"
    first = captioned_by(Context(cache_dir=tmp_path), model, data)
    (key,) = (tmp_path / "captions").glob("*/key.json")
    facts = json.loads(key.read_text())
    old = {**facts, "version": 1}
    place = tmp_path / "captions" / f"{old['weights_sha256'][:16]}-{digest(old)[:16]}"
    key.parent.rename(place)
    kept = (place / "captions.jsonl").read_text()
    (place / "captions.jsonl").write_text(kept.replace("many", "wrong").replace("square", "wrong"))
    assert "wrong" in (place / "captions.jsonl").read_text()
    second = captioned_by(Context(cache_dir=tmp_path), model, data)
    assert second.captions == first.captions
    assert second.made == 6


def test_a_second_run_makes_no_caption(checkpoints: Callable[[str], Path], captioned: Path, tmp_path: Path) -> None:
    model = f"retrieval:{checkpoints('clip')}"
    first = captioned_by(Context(cache_dir=tmp_path), model, f"folder:{captioned}", limit=3)
    reporter = Silent()
    second = captioned_by(Context(cache_dir=tmp_path, reporter=reporter), model, f"folder:{captioned}", limit=3)
    assert (first.made, second.made) == (3, 0)
    assert (first.captions, first.ids, first.dataset) == (second.captions, second.ids, second.dataset)
    assert any("0 generated, 3 from the store" in note for note in reporter.notes)
    one, two = write_coco_results(tmp_path, first), write_coco_results(tmp_path, second)
    assert one == two


def test_training_captions_never_come_from_the_captioned_split(
    checkpoints: Callable[[str], Path], captioned: Path, tmp_path: Path
) -> None:
    model, context = f"retrieval:{checkpoints('clip')}", Context(cache_dir=tmp_path)
    with pytest.raises(InputError, match="only the one being captioned"):
        captioned_by(context, model, f"folder:{captioned}", "train")
    with pytest.raises(InputError, match="has none"):
        captioned_by(context, model, f"folder:{captioned}/test")
    elsewhere = captioned_by(context, model, f"folder:{captioned}/test", how=Captioning(anchors=f"folder:{captioned}"))
    assert elsewhere.captions == captioned_by(context, model, f"folder:{captioned}").captions
    with pytest.raises(UsageError, match="picks an existing caption"):
        captioned_by(context, model, f"folder:{captioned}", how=Captioning(Decoding(num_beams=3)))


def test_novelty_is_against_the_captions_that_were_drawn_on_whatever_the_captioned_split_is_called(
    checkpoints: Callable[[str], Path], captioned: Path, tmp_path: Path
) -> None:
    ref, scoring = CaptionerRef.parse(f"retrieval:{checkpoints('clip')}"), Scoring(("rouge_l",), resamples=100)
    copy = tmp_path / "copy"
    shutil.copytree(captioned, copy)
    here = Context(cache_dir=tmp_path / "cache", out=tmp_path / "out")
    how = Captioning(anchors=f"folder:{copy}")
    request = CaptionerEvalRequest([ref], f"folder:{captioned}", "train", scoring=scoring, how=how)
    (run,) = run_captioner_eval(request, here)
    assert run.record.detail.text.novel == 0, "each caption is one of the anchors'"
    assert run.record.detail.novel_to.startswith("18@")
    (tmp_path / "new.json").write_text(json.dumps({"1": ["something else"]}))
    request = replace(request, scoring=replace(scoring, novel_to=str(tmp_path / "new.json")))
    (run,) = run_captioner_eval(request, here)
    assert run.record.detail.text.novel == 1


def test_document_frequencies_of_another_file_count_for_captioners_too(
    checkpoints: Callable[[str], Path], captioned: Path, tmp_path: Path
) -> None:
    ref = CaptionerRef.parse(f"retrieval:{checkpoints('clip')}")
    here = Context(cache_dir=tmp_path / "cache", out=tmp_path / "out")

    def scored(documents: str | None) -> Record:
        scoring = Scoring(("cider",), resamples=100, documents=documents)
        return run_captioner_eval(CaptionerEvalRequest([ref], f"folder:{captioned}", scoring=scoring), here)[0].record

    (tmp_path / "df.json").write_text(json.dumps({str(n): [f"a photo of {n} dogs", "a cat"] for n in range(5)}))
    own, other = scored(None), scored(str(tmp_path / "df.json"))
    assert other.protocol.df.startswith("df.json[5]@")
    assert other.metrics["cider"].value != own.metrics["cider"].value
    with pytest.raises(AbsentError, match="no such file"):
        scored(str(tmp_path / "nowhere.json"))


def test_the_command_writes_coco_results(checkpoints: Callable[[str], Path], captioned: Path, tmp_path: Path) -> None:
    model = f"retrieval:{checkpoints('clip')}"
    common = ["--cache-dir", str(tmp_path / "cache"), "-o", str(tmp_path / "out"), "--json", "-q"]
    done = CliRunner().invoke(app, ["caption", "-m", model, "-d", f"folder:{captioned}", *common])
    assert done.exit_code == 0, done.output
    (result,) = json.loads(done.stdout)["results"]
    written = json.loads(Path(result["path"]).read_text())
    assert [entry["image_id"] for entry in written] == [f"test-{number}" for number in range(6)]
    files = [str(captioned / "test/1.png"), str(captioned / "test")]
    more = ["--anchors", f"folder:{captioned}", *common]
    done = CliRunner().invoke(app, ["caption", "-m", model, *files, *more])
    assert done.exit_code == 0, done.output
    (result,) = json.loads(done.stdout)["results"]
    again = {entry["image_id"]: entry["caption"] for entry in json.loads(Path(result["path"]).read_text())}
    assert len(again) == 6
    assert again[str(captioned / "test/3.png")] == written[3]["caption"]
    assert result["made"] == 0, "the same images by the same model were captioned before"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["caption", "-m", "tiny-captioner"], 2),
        (["caption", "-m", "tiny-captioner", "nowhere.jpg"], 4),
        (["caption", "-m", "no-such-captioner", "-d", "scenes"], 4),
        (["caption", "-m", "endpoint:nonsense", "-d", "scenes"], 2),
        (["caption", "-m", "tiny-captioner", "-d", "scenes", "--temperature", "1", "--num-beams", "2"], 2),
        (["caption-eval", "--captioner", "tiny-captioner"], 2),
        (["caption-eval", "-d", "scenes"], 2),
    ],
)
def test_exit_codes(arguments: list[str], code: int, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [*arguments, "--cache-dir", str(tmp_path), "-o", str(tmp_path / "out")])
    assert done.exit_code == code, done.output


def test_two_encoders_coupled_do_not_stand_for_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is two encoders"):
        captioned_by(Context(cache_dir=tmp_path), "retrieval:asif:tiny-clip+tiny-clip@scenes?k=9", "scenes", limit=1)


def test_sampling_is_seeded_by_the_run(tmp_path: Path) -> None:
    how = Captioning(Decoding(temperature=1.0))
    found = [
        captioned_by(Context(cache_dir=tmp_path, seed=seed), "tiny-captioner", "scenes", how=how, limit=4)
        for seed in (3, 3, 4)
    ]
    assert [captions.decoding["seed"] for captions in found] == [3, 3, 4]
    assert [captions.made for captions in found] == [4, 0, 4]
