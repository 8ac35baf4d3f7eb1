"""CLIPScore and RefCLIPScore against their definition (Hessel et al. 2021, sections 3 and 3.1)."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vlmbench.captioners.base import Captioning, Decoding
from vlmbench.captioners.names import CaptionerRef
from vlmbench.cli.app import app
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.progress import Advance, Silent
from vlmbench.metrics.captions.clipscore import clip_scores
from vlmbench.metrics.spec import caption_specs, find
from vlmbench.session.context import Context
from vlmbench.session.session import Session
from vlmbench.tasks.captions.captioned import CaptionerEvalRequest, run_captioner_eval
from vlmbench.tasks.captions.clip import ClipImages
from vlmbench.tasks.captions.scoring import Scoring

CAPTIONS = {"0.png": "a photo of red dog", "1.png": "the green circle", "2.png": "many blue cat"}
REFERENCES = {name: [f"an image of {text}", "a square"] for name, text in CAPTIONS.items()}


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("seen")
    generator = np.random.default_rng(3)
    lines = []
    for name, references in REFERENCES.items():
        Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(root / name)
        lines.append(json.dumps({"file_name": name, "captions": references}))
    (root / "metadata.jsonl").write_text("\n".join(lines))
    entries = [{"image_id": name, "caption": text} for name, text in reversed(CAPTIONS.items())]
    (root / "results.json").write_text(json.dumps(entries))
    (root / "references.json").write_text(json.dumps(REFERENCES))
    return root


def by_hand(
    clip: Path, root: Path, captions: Sequence[tuple[str, str]] = tuple(CAPTIONS.items())
) -> tuple[list[float], list[float]]:
    """A caption at a time, by transformers' own embeddings."""
    import torch
    from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

    model, tokenizer = CLIPModel.from_pretrained(clip).eval(), AutoTokenizer.from_pretrained(clip)
    processor = CLIPImageProcessorPil.from_pretrained(clip)

    def embedded(text: str) -> np.ndarray:
        tokens = tokenizer(f"A photo depicts {text}", truncation=True, max_length=16, return_tensors="pt")
        return model.get_text_features(**tokens).pooler_output[0].double().numpy()

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    seen, both = [], []
    with torch.inference_mode():
        for name, caption in captions:
            pixels = processor(images=Image.open(root / name), return_tensors="pt")["pixel_values"]
            image = model.get_image_features(pixel_values=pixels).pooler_output[0].double().numpy()
            text = embedded(caption)
            score = 2.5 * max(cosine(text, image), 0)
            said = max(max(cosine(text, embedded(reference)), 0) for reference in REFERENCES[name])
            seen.append(score)
            both.append(2 * score * said / (score + said) if score + said else 0.0)
    return seen, both


def test_the_command_gives_the_definition(checkpoints: Callable[[str], Path], captioned: Path, tmp_path: Path) -> None:
    clip = checkpoints("clip")
    command = ["caption-eval", "-r", f"folder:{captioned}", "-p", f"mine={captioned}/results.json", "--json", "-q"]
    command += ["--metrics", "cider,clipscore,refclipscore", "--clip", str(clip), "--device", "cpu"]
    command += ["-o", str(tmp_path / "out"), "--cache-dir", str(tmp_path / "cache")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    (result,) = json.loads(done.stdout)["results"]
    seen, both = by_hand(clip, captioned)
    assert any(seen), "a score of 0 everywhere would prove nothing"
    metrics = result["metrics"]
    assert metrics["clipscore"]["value"] == pytest.approx(np.mean(seen), abs=1e-6)
    assert metrics["refclipscore"]["value"] == pytest.approx(np.mean(both), abs=1e-6)
    assert metrics["clipscore"]["low"] <= metrics["clipscore"]["value"] <= metrics["clipscore"]["high"]
    record = json.loads((Path(result["path"]) / "result.json").read_text())
    assert record["protocol"]["clip"]["w"] == 2.5
    verified = CliRunner().invoke(app, ["verify", str(tmp_path / "out")])
    assert verified.exit_code == 0, verified.output
    assert "CLIPScore" in (tmp_path / "out/tables/captions.md").read_text()


class Told(Silent):
    """Also keeps the tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[str] = []

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Advance]:
        self.tasks.append(label)
        yield lambda units=1: None


@pytest.mark.parametrize("on_bad_image", ["error", "skip"])
def test_images_without_a_caption_are_not_encoded_and_the_encoder_is_loaded_once(
    checkpoints: Callable[[str], Path], captioned: Path, tmp_path: Path, on_bad_image: str
) -> None:
    clip, told = str(checkpoints("clip")), Told()
    context = Context(tmp_path / "out", tmp_path / "cache", reporter=told, on_bad_image=on_bad_image)
    data = f"folder:{captioned}"
    ref, how = CaptionerRef.parse(f"magic:tiny-captioner,{clip}"), Captioning(Decoding(max_new_tokens=3))
    scoring = Scoring(("clipscore",), resamples=50, clip=clip, novel_to=str(captioned / "references.json"))
    (record,) = run_captioner_eval(CaptionerEvalRequest([ref], data, limit=2, scoring=scoring, how=how), context)
    assert record.record.n == 2
    (note,) = [note for note in told.notes if note.startswith("features")]
    assert note.startswith("features: 2 images encoded, 0 from the store")
    assert told.tasks.count(f"loading {clip}") == 1


def test_captions_of_images_that_are_not_there_are_said_before_any_is_encoded(
    checkpoints: Callable[[str], Path], captioned: Path, tmp_path: Path
) -> None:
    told = Told()
    context = Context(tmp_path / "out", tmp_path / "cache", reporter=told)
    seen = ClipImages(Session(context), str(checkpoints("clip")), f"folder:{captioned}", ["0.png", "9.png"])
    with pytest.raises(InputError, match=r"1 images that are not in .*; the first is 9\.png"):
        seen.scores(["0.png", "9.png"], ["a dog", "a cat"], [["a dog"], ["a cat"]])
    assert not told.notes


def test_the_images_have_to_be_named(captioned: Path, tmp_path: Path, checkpoints: Callable[[str], Path]) -> None:
    references = tmp_path / "references.json"
    references.write_text(json.dumps(REFERENCES))
    command = ["caption-eval", "-r", str(references), "-p", f"{captioned}/results.json", "--metrics", "clipscore"]
    common = ["-o", str(tmp_path / "out"), "--cache-dir", str(tmp_path / "cache"), "--clip", str(checkpoints("clip"))]
    done = CliRunner().invoke(app, [*command, *common])
    assert done.exit_code == 2
    assert "needs the images" in done.output
    done = CliRunner().invoke(app, [*command, "-d", f"folder:{captioned}", *common])
    assert done.exit_code == 0, done.output
    backbone = [*command, "-d", f"folder:{captioned}", *common[:-1], str(checkpoints("vit"))]
    done = CliRunner().invoke(app, backbone)
    assert done.exit_code == 2
    assert "no text encoder" in done.output


JUDGED = [(name, text) for name in CAPTIONS for text in ("the green circle", "many blue cat", "a red square dog")]
RATINGS = [2, 3, 1, 4, 1, 2, 1, 4, 3]


def judge(root: Path, place: Path, *more: str) -> list[str]:
    rows = [
        json.dumps({"image_id": name, "candidate": text, "rating": rating, "references": REFERENCES[name]})
        for (name, text), rating in zip(JUDGED, RATINGS, strict=True)
    ]
    (place / "judgements.jsonl").write_text("\n".join(rows))
    command = ["metric-eval", "-j", str(place / "judgements.jsonl"), "--images", str(root), "--device", "cpu"]
    return [*command, "-o", str(place / "out"), "--cache-dir", str(place / "cache"), "--resamples", "100", *more]


def test_agreement_with_people_of_both(checkpoints: Callable[[str], Path], captioned: Path, tmp_path: Path) -> None:
    from scipy.stats import kendalltau

    clip = checkpoints("clip")
    command = judge(captioned, tmp_path, "--metrics", "clipscore,refclipscore,cider", "--clip", str(clip), "--json")
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "3 images encoded" in done.stderr
    results = {item["system"]: item for item in json.loads(done.stdout)["results"]}
    for name, scores in zip(("clipscore", "refclipscore"), by_hand(clip, captioned, JUDGED), strict=True):
        assert len(set(scores)) > 3, "scores that are all the same would prove nothing"
        for variant in "bc":
            found = results[name]["metrics"][f"kendall_tau_{variant}"]
            assert found["value"] == pytest.approx(kendalltau(scores, RATINGS, variant=variant).statistic, abs=1e-6)
        assert results[name]["model"] == str(clip)
        record = json.loads((Path(results[name]["path"]) / "result.json").read_text())
        assert record["protocol"]["clip"]["prefix"] == "A photo depicts "
    assert results["cider"]["model"] is None
    again = CliRunner().invoke(app, command)
    assert "0 images encoded, 3 from the store" in again.stderr
    assert again.stdout == done.stdout
    assert CliRunner().invoke(app, ["verify", str(tmp_path / "out")]).exit_code == 0


def test_images_that_are_absent_are_counted_and_named(
    checkpoints: Callable[[str], Path], captioned: Path, tmp_path: Path
) -> None:
    some = tmp_path / "some" / "deep"
    some.mkdir(parents=True)
    (some / "1.png").write_bytes((captioned / "1.png").read_bytes())
    common = ["--metrics", "clipscore", "--clip", str(checkpoints("clip")), "-q"]
    done = CliRunner().invoke(app, judge(tmp_path / "some", tmp_path, *common))
    assert done.exit_code == 3
    assert "2 of 3 images are missing: 0.png, 2.png" in done.output
    for name in ("0.png", "2.png"):
        (some / name).write_bytes(b"no image")
    done = CliRunner().invoke(app, judge(tmp_path / "some", tmp_path, *common))
    assert done.exit_code == 3
    assert "2 images cannot be decoded; the first is 0.png" in done.output
    done = CliRunner().invoke(app, judge(tmp_path / "none", tmp_path, *common))
    assert done.exit_code == 4
    assert "no such directory" in done.output
    assert not (tmp_path / "out" / "tables").exists()


def test_bounds_and_signs() -> None:
    image = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    caption = np.array([[1.0, 0.0], [-1.0, 0.0], [0.6, 0.8]])
    references = [np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[-1.0, 0.0]]), np.array([[0.0, -1.0]])]
    seen, both = clip_scores(image, caption, references)
    np.testing.assert_allclose(seen, [2.5, 0.0, 2.0])
    np.testing.assert_allclose(both, [2 * 2.5 / 3.5, 0.0, 0.0])
    assert seen.max() <= find("clipscore").range[1]
    assert both.max() <= find("refclipscore").range[1] + 1e-12
    assert {"clipscore", "refclipscore"} <= {spec.name for spec in caption_specs()}
