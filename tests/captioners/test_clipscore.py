"""CLIPScore and RefCLIPScore against their definition (Hessel et al. 2021, sections 3 and 3.1)."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vlmbench.cli.app import app
from vlmbench.metrics.captions.clipscore import HIGHEST, clip_scores
from vlmbench.metrics.captions.statistics import METRICS

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
    return root


def by_hand(clip: Path, root: Path) -> tuple[list[float], list[float]]:
    """An image at a time, by transformers' own embeddings."""
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
        for name, caption in CAPTIONS.items():
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
    assert "no text side" in done.output


def test_bounds_and_signs() -> None:
    image = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    caption = np.array([[1.0, 0.0], [-1.0, 0.0], [0.6, 0.8]])
    references = [np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[-1.0, 0.0]]), np.array([[0.0, -1.0]])]
    seen, both = clip_scores(image, caption, references)
    np.testing.assert_allclose(seen, [2.5, 0.0, 2.0])
    np.testing.assert_allclose(both, [2 * 2.5 / 3.5, 0.0, 0.0])
    assert seen.max() <= HIGHEST["clipscore"]
    assert both.max() <= HIGHEST["refclipscore"] + 1e-12
    assert {"clipscore", "refclipscore"} <= set(METRICS)
