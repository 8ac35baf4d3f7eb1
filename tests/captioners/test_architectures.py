"""Every captioning architecture, from a small random checkpoint."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from vlmbench.captioners.base import Decoding, Example, Item, Runtime
from vlmbench.captioners.checkpoint import find_checkpoint
from vlmbench.captioners.families import FAMILIES, IMAGE_ONLY, family_of
from vlmbench.captioners.generate import Generator
from vlmbench.cli.app import app
from vlmbench.foundations.errors import AbsentError, InputError, UsageError
from vlmbench.foundations.progress import Silent

ARCHITECTURES = [
    "vit-gpt2", "blip", "blip-2", "instructblip", "git", "idefics", "idefics2", "idefics3", "smolvlm", "fuyu",
    "kosmos-2", "paligemma", "florence2", "llava", "llava-next", "qwen2-vl", "qwen2.5-vl", "qwen3-vl",
]  # fmt: skip
SHOTS = ["idefics", "idefics2", "idefics3", "smolvlm", "llava", "llava-next", "qwen2-vl", "qwen2.5-vl", "qwen3-vl"]

Pictures = list[Image.Image]
Captioner = Callable[[str], Path]


def open_generator(directory: Path, options: Decoding | None = None, examples: tuple[Example, ...] = ()) -> Generator:
    return Generator(
        find_checkpoint(str(directory), directory.parent / "cache"),
        options or Decoding(max_new_tokens=6),
        Runtime("cpu", "fp32", 8, Silent()),
        examples,
    )


def as_items(pictures: Pictures) -> list[Item]:
    return [Item(str(number), str(number), picture) for number, picture in enumerate(pictures)]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_batched_and_single_captions_are_the_same(name: str, captioner: Captioner, pictures: Pictures) -> None:
    generator = open_generator(captioner(name))
    items = as_items(pictures)
    together = generator.caption(items)
    assert together == [generator.caption([item])[0] for item in items]
    assert len(set(together)) > 1, "the caption has to depend on the image"
    assert all(caption == " ".join(caption.split()) for caption in together)
    for asked in filter(None, (generator.prompt_text, "<image>")):
        assert not any(asked in caption for caption in together)


@pytest.mark.parametrize("name", SHOTS)
def test_worked_examples_reach_the_model(name: str, captioner: Captioner, pictures: Pictures) -> None:
    options = Decoding(max_new_tokens=6, shots=2)
    examples = (Example(pictures[0], "a dog", "0"), Example(pictures[1], "two cats", "1"))
    generator = open_generator(captioner(name), options, examples)
    items = as_items(pictures)
    together = generator.caption(items)
    assert together == [generator.caption([item])[0] for item in items]
    shown = generator.prompt.shown
    assert shown.index("a dog") < shown.index("two cats") < shown.rindex(generator.prompt_text)
    assert shown.count(generator.prompt.image_token) == 3
    assert together != open_generator(captioner(name)).caption(items)


def test_every_architecture_from_images_to_a_table_in_one_command(
    captioner: Captioner, pictures: Pictures, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    lines = []
    for number, picture in enumerate(pictures):
        picture.save(images / f"{number}.png")
        lines.append(json.dumps({"file_name": f"{number}.png", "captions": [f"a photo of a dog {number}", "two cats"]}))
    (images / "metadata.jsonl").write_text("\n".join(lines))
    command = ["caption-eval", "-d", f"folder:{images}", "-o", str(tmp_path / "out"), "--json", "-q"]
    command += ["--metrics", "bleu,rouge_l,cider", "--resamples", "100", "--max-new-tokens", "6", "--device", "cpu"]
    command += ["--cache-dir", str(tmp_path / "cache")]
    for name in ARCHITECTURES:
        command += ["--captioner", str(captioner(name))]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    results = {result["system"]: result for result in json.loads(done.stdout)["results"]}
    assert set(results) == set(ARCHITECTURES)
    table = (tmp_path / "out/tables/captions.csv").read_text()
    for name, result in results.items():
        assert result["n"] == len(pictures)
        assert {"bleu_4", "cider"} <= set(result["metrics"])
        record = json.loads((Path(result["path"]) / "result.json").read_text())
        assert record["protocol"]["max_new_tokens"] == 6
        assert record["protocol"]["num_beams"] == 1
        assert "|max_new_tokens:6|" in record["signature"]
        assert record["protocol"].get("prompt") == open_generator(captioner(name)).prompt_text
        assert record["model"]["weights_sha256"]
        assert name in table
    assert len(list((tmp_path / "out/captions").glob("*.json"))) == len(ARCHITECTURES)


def test_greedy_is_the_same_twice_and_sampling_too(captioner: Captioner, pictures: Pictures) -> None:
    items = as_items(pictures)
    greedy = [open_generator(captioner("vit-gpt2")).caption(items) for _ in range(2)]
    assert greedy[0] == greedy[1]
    options = [Decoding(max_new_tokens=6, temperature=2.0, seed=seed) for seed in (0, 0, 1)]
    sampled = []
    for option in options:
        stream = open_generator(captioner("vit-gpt2"), option).stream(items)
        sampled.append([done.caption for batch in stream for done in batch])
    assert sampled[0] == sampled[1]
    assert sampled[0] != sampled[2]
    assert sampled[0] != greedy[0]
    alone = open_generator(captioner("vit-gpt2"), options[0]).stream(items[3:4])
    assert [done.caption for batch in alone for done in batch] == sampled[0][3:4]


def test_a_caption_ends_where_the_decoder_has_no_more_positions(captioner: Captioner, pictures: Pictures) -> None:
    generator = open_generator(captioner("vit-gpt2"), Decoding(max_new_tokens=1000))
    generator.settings.eos_token_id = None
    assert len(generator.caption(as_items(pictures[:2]))) == 2
    assert generator.settings.max_new_tokens == 63


def test_the_prompt_is_not_part_of_the_caption(captioner: Captioner, pictures: Pictures) -> None:
    generator = open_generator(captioner("blip"), Decoding(prompt="a photo of", max_new_tokens=6))
    captions = generator.caption(as_items(pictures))
    assert not any(caption.startswith("a photo of") for caption in captions)
    raw = generator.processor.tokenizer.decode(
        generator.model.generate(**generator.prompt.inputs(pictures[:1]), generation_config=generator.settings)[0],
        skip_special_tokens=True,
    )
    assert raw.startswith("a photo of"), "BLIP repeats its prompt, so that there is something to take away"
    assert captions[0] == " ".join(raw.removeprefix("a photo of").split())


def test_options_that_an_architecture_does_not_take_are_refused(captioner: Captioner) -> None:
    with pytest.raises(UsageError, match="no prompt"):
        open_generator(captioner("vit-gpt2"), Decoding(prompt="a"))
    with pytest.raises(UsageError, match="few-shot examples"):
        open_generator(captioner("blip"), Decoding(shots=2))
    with pytest.raises(UsageError, match="choose one"):
        Decoding(temperature=1.0, num_beams=2)
    with pytest.raises(UsageError, match="max_new_tokens="):
        Decoding(max_new_tokens=0)


def test_checkpoints_that_are_none(tmp_path: Path, captioner: Captioner) -> None:
    with pytest.raises(AbsentError, match="no such model directory"):
        find_checkpoint("./nowhere", tmp_path)
    with pytest.raises(AbsentError, match="not a captioner") as caught:
        find_checkpoint("tiny-clip", tmp_path)
    assert "retrieval:tiny-clip" in str(caught.value.fix)
    with pytest.raises(AbsentError, match="no such model"):
        find_checkpoint("tiny-captionr", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="not a model directory"):
        find_checkpoint(str(tmp_path / "empty"), tmp_path)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for file in captioner("vit-gpt2").iterdir():
        (damaged / file.name).write_bytes(file.read_bytes())
    (damaged / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(InputError, match="cannot load"):
        _ = open_generator(damaged).model
    (damaged / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="cannot load the processor"):
        _ = open_generator(damaged).processor


def test_a_change_beside_the_weights_is_another_key(captioner: Captioner, tmp_path: Path) -> None:
    before = find_checkpoint(str(captioner("blip")), tmp_path)
    changed = tmp_path / "changed"
    changed.mkdir()
    for file in captioner("blip").iterdir():
        (changed / file.name).write_bytes(file.read_bytes())
    facts = json.loads((changed / "preprocessor_config.json").read_text())
    (changed / "preprocessor_config.json").write_text(json.dumps({**facts, "image_mean": [0.1, 0.1, 0.1]}))
    after = find_checkpoint(str(changed), tmp_path)
    assert before.weights_sha256 == after.weights_sha256
    assert before.beside_sha256 != after.beside_sha256


def test_older_repositories_keep_the_chat_template_with_the_tokenizer(
    captioner: Captioner, pictures: Pictures, tmp_path: Path
) -> None:
    older = tmp_path / "older"
    older.mkdir()
    for file in captioner("llava").iterdir():
        (older / file.name).write_bytes(file.read_bytes())
    template = (older / "chat_template.jinja").read_text()
    (older / "chat_template.jinja").unlink()
    assert open_generator(older).prompt.shown.startswith("USER: <image>")
    settings = json.loads((older / "tokenizer_config.json").read_text())
    (older / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": template}))
    assert open_generator(older).prompt.shown == open_generator(captioner("llava")).prompt.shown
    (older / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": "{{ messages }}"}))
    assert open_generator(older).prompt.shown.startswith("USER: <image>")


def test_the_table_of_families() -> None:
    assert family_of("something new").layout == "chat"
    for family in FAMILIES.values():
        assert "{prompt}" in family.text or family.layout == IMAGE_ONLY
