"""Whatever decides a number is part of its key: a change of it makes new features, texts, captions and records.

Each case changes one input of a command that ran before, and runs it again with the same cache and results: what the
input decides is made anew, the rest comes from the store. The fields of every key and record have to stand in a case.
"""

import csv
import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from vlmbench.captioners.base import Decoding
from vlmbench.cli.app import app
from vlmbench.features.store import FeatureKey
from vlmbench.features.texts import TextKey
from vlmbench.foundations import versions
from vlmbench.records.result import Record
from vlmbench.records.task import task_specs

_spec = importlib.util.spec_from_file_location(
    "keys_captioners", Path(__file__).parents[1] / "captioners" / "checkpoints.py"
)
_captioners = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_captioners)

Change = Callable[[Path, pytest.MonkeyPatch], object]
NOT_NUMBERS = {"metrics", "detail", "versions", "signature", "samples_sha256", "record_sha256", "schema_version"}
"""Fields of a record that say what came out, not what decided it; versions are part of the features' keys."""
NO_INPUT = {
    **dict.fromkeys(
        ("task", "protocol.intervals", "protocol.tolerance", "protocol.relative_tolerance", "protocol.max_iter",
         "protocol.tokenizer", "protocol.probe"), "the same in every record of a command"
    ),
    **dict.fromkeys(("features.format", "texts.format", "captions.version"), "counted up by hand"),
    **dict.fromkeys(("model.revision", "dataset.revision"), "of the hub: tests/hub/test_loopback.py"),
    "model": "none, for captions from files",
    "model.kind": "follows from its configuration",
    "model.trust_remote_code": "tests/encoders/test_own_code.py",
    "protocol.logit_bias": "0 but for SigLIP, whose weights hold it",
    **dict.fromkeys(
        ("protocol.format", "protocol.left_out", "protocol.tau"), "of judgements: they follow from the file"
    ),
    **dict.fromkeys(
        ("protocol.classnames_source", "protocol.prompts_source"), "of copies on the hub: tests/hub/test_sibling.py"
    ),
    "protocol.probe_sha256": "of a saved probe: tests/tasks/test_cells.py",
    **dict.fromkeys(("features.engine", "texts.engine", "protocol.engine"), "tests/encoders/test_engine.py"),
}  # fmt: skip
"""Fields that no case has, and why."""

QUICK = {"--resamples": "100", "--max-new-tokens": "3"}
FILES = {"-r": "references.json", "--resamples": "100"}
COMMANDS: dict[str, tuple[str, dict[str, str | None]]] = {
    "zeroshot": ("zeroshot", {"-m": "clip", "-d": "folder:images"}),
    "asif": ("zeroshot", {"-m": "asif:vit+bert@folder:captioned", "-d": "folder:images"}),
    "probe": ("linear-probe", {"-m": "clip", "-d": "folder:images", "--c": "1", "--no-figures": None}),
    "few": ("linear-probe", {"-m": "clip", "-d": "folder:images", "--c": "1", "--shots": "2", "--seeds": "2",
            "--no-figures": None}),
    "corrupted": ("zeroshot", {"-m": "clip", "-d": "folder:images?corrupt=contrast:3"}),
    "merged": ("zeroshot", {"-m": "clip", "-d": "folder:images", "--class-map": "map.csv"}),
    "grouped": ("linear-probe", {"-m": "clip", "-d": "file:list.csv", "--group": "patient", "--c": "1",
                "--no-figures": None}),
    "neighbours": ("linear-probe", {"-m": "clip", "-d": "folder:images", "--head": "knn?k=3", "--no-figures": None}),
    "undivided": ("linear-probe", {"-m": "clip", "-d": "folder:images/train", "--c": "1", "--no-figures": None}),
    "retrieval": ("retrieval", {"-m": "clip", "-d": "folder:captioned"}),
    "scores": ("caption-eval", {**FILES, "-p": "candidates.json", "--metrics": "bleu,cider"}),
    "clipscore": ("caption-eval", {**FILES, "-p": "candidates.json", "--metrics": "bleu_4,clipscore",
                                   "-d": "folder:captioned", "--clip": "clip"}),
    "captioner": ("caption-eval", {"--captioner": "captioner", "-d": "folder:captioned", "--metrics": "bleu", **QUICK}),
    "nearest": ("caption-eval", {"--captioner": "retrieval:clip", "-d": "folder:captioned", "--metrics": "bleu"}),
    "judgements": ("metric-eval", {**FILES, "-j": "ratings.csv", "--metrics": "bleu_4,cider"}),
}  # fmt: skip
"""A command and its options by name; none: a flag."""


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        name: the input.
        command: one of `COMMANDS`.
        made: what has to be made anew, of ``features``, ``texts``, ``captions`` and ``record``; nothing else may be.
        fields: the fields of records and keys that have to differ.
        change: changes it in the working directory.
        options: changes it on the command line.
    """

    name: str
    command: str
    made: str
    fields: str
    change: Change | None = None
    options: dict[str, str | None] = field(default_factory=dict)


def edited(path: str, **values: Any) -> Change:
    """Other values in a JSON file."""

    def change(root: Path, _: pytest.MonkeyPatch) -> None:
        data = json.loads((root / path).read_text())
        assert {**data, **values} != data
        (root / path).write_text(json.dumps({**data, **values}))

    return change


def weights(path: str) -> Change:
    """Another last bit of the last weight."""

    def change(root: Path, _: pytest.MonkeyPatch) -> None:
        data = bytearray((root / path / "model.safetensors").read_bytes())
        data[-4] ^= 1
        (root / path / "model.safetensors").write_bytes(bytes(data))

    return change


def tokens(path: str) -> Change:
    """A tokenizer that does not know a word any more."""

    def change(root: Path, _: pytest.MonkeyPatch) -> None:
        file = root / path / "tokenizer.json"
        data = json.loads(file.read_text())
        vocabulary = data["model"]["vocab"]
        vocabulary["unheard"] = vocabulary.pop("red")
        file.write_text(json.dumps(data))

    return change


def pixel(path: str) -> Change:
    """One pixel of an image."""

    def change(root: Path, _: pytest.MonkeyPatch) -> None:
        image = Image.open(root / path).convert("RGB")
        image.putpixel((3, 3), (1, 2, 3))
        image.save(root / path)

    return change


def renamed(old: str, new: str) -> Change:
    return lambda root, _: (root / old).rename(root / new)


def copied(old: str, new: str) -> Change:
    return lambda root, _: shutil.copytree(root / old, root / new)


def exchanged(one: str, other: str) -> Change:
    def change(root: Path, _: pytest.MonkeyPatch) -> None:
        (root / one).rename(root / "aside")
        (root / other).rename(root / one)
        (root / "aside").rename(root / other)

    return change


def scaled(path: str) -> Change:
    """Another logit scale among the weights."""

    def change(root: Path, _: pytest.MonkeyPatch) -> None:
        file = root / path / "model.safetensors"
        tensors = load_file(file)
        save_file({**tensors, "logit_scale": np.asarray(tensors["logit_scale"] + 1)}, file, {"format": "pt"})

    return change


def replaced(path: str, old: str, new: str) -> Change:
    def change(root: Path, _: pytest.MonkeyPatch) -> None:
        text = (root / path).read_text()
        assert old in text
        (root / path).write_text(text.replace(old, new, 1))

    return change


def broken(path: str) -> Change:
    return lambda root, _: (root / path).write_bytes(b"no image")


def version_of(package: str) -> Change:
    """Another version of a package is installed."""

    def change(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = versions._version
        monkeypatch.setattr(versions, "_version", lambda name: "99" if name == package else real(name))

    return change


def other_classes(root: Path, _: pytest.MonkeyPatch) -> None:
    """A test set without one of the classes, and with another word for one."""
    for theirs, ours in (("red", "red"), ("verde", "green")):
        shutil.copytree(root / "images" / "test" / ours, root / "elsewhere" / "test" / theirs)
    (root / "map.json").write_text(json.dumps({"verde": "green"}))


PREPROCESSING = {
    "do_resize": {"do_resize": False}, "size": {"size": {"shortest_edge": 40}}, "resample": {"resample": 2},
    "do_center_crop": {"do_center_crop": False, "size": {"height": 32, "width": 32}}, "crop_size": {"crop_size": 32},
    "do_rescale": {"do_rescale": False}, "rescale_factor": {"rescale_factor": 0.5},
    "do_normalize": {"do_normalize": False}, "image_mean": {"image_mean": [0.5] * 3},
    "image_std": {"image_std": [0.5] * 3},
}  # fmt: skip
ALL = "features texts record"
PROCESSOR = "clip/preprocessor_config.json"
HASHED = "protocol.preprocessing_sha256 features.preprocessing_sha256 texts.preprocessing_sha256"
DECODED = "protocol.captions"

CASES = [
    Case("weights", "zeroshot", ALL, "model.weights_sha256 features.weights_sha256 texts.weights_sha256",
         weights("clip")),
    *(Case(f"preprocessing: {name}", "zeroshot", ALL, HASHED, edited(PROCESSOR, **values))
      for name, values in PREPROCESSING.items()),
    Case("configuration", "zeroshot", ALL, HASHED, edited("clip/config.json", logit_scale_init_value=1.0)),
    Case("tokenizer", "zeroshot", "texts record", "protocol.tokenizer_sha256 texts.tokenizer_sha256", tokens("clip")),
    Case("precision", "zeroshot", ALL, "protocol.precision features.precision texts.precision",
         options={"--precision": "bf16"}),
    Case("template", "zeroshot", "texts record", "protocol.templates protocol.prompts texts.content texts.kind",
         options={"--prompts": "an image of a {}."}),
    Case("prompts for each class", "zeroshot", "texts record", "protocol.prompts_sha256 protocol.prompts_count",
         options={"--prompts": "prompts.json"}),
    Case("class names", "zeroshot", "texts record", "protocol.classnames protocol.classnames_sha256"
         , options={"--classnames": "names.txt"}),
    Case("split", "retrieval", "features record", "dataset.split features.fingerprint",
         options={"--split": "train"}),
    Case("name of the split", "zeroshot", "features record", "features.split", exchanged("images/val", "images/test")),
    Case("name of the model", "zeroshot", "record", "model.id system", copied("clip", "other"), {"-m": "other"}),
    Case("logit scale", "zeroshot", ALL, "protocol.logit_scale", scaled("clip")),
    Case("image bytes", "zeroshot", "features record", "dataset.fingerprint", pixel("images/test/red/1.png")),
    Case("label", "zeroshot", "features record", "dataset.fingerprint",
         renamed("images/test/red/1.png", "images/test/blue/9.png")),
    Case("order", "zeroshot", "features record", "dataset.fingerprint", renamed("images/test/red/1.png",
                                                                                "images/test/red/9.png")),
    Case("limit", "zeroshot", "features record", "protocol.limit n", options={"--limit": "5"}),
    Case("seed", "zeroshot", "record", "seed", options={"--seed": "1"}),
    Case("skipped images", "zeroshot", "features record", "dataset.skipped n", broken("images/test/red/1.png"),
         {"--on-bad-image": "skip"}),
    Case("reduced decoding", "zeroshot", "features record", "protocol.decode features.fingerprint",
         options={"--decode": "reduced"}),
    Case("tiles", "zeroshot", "features record", "protocol.views features.fingerprint", options={"--tiles": "2"}),
    Case("corruption", "zeroshot", "features record", "dataset.fingerprint dataset.id features.fingerprint",
         options={"-d": "folder:images?corrupt=contrast:2"}),
    Case("kind of corruption", "corrupted", "features record", "dataset.fingerprint dataset.id features.fingerprint",
         options={"-d": "folder:images?corrupt=brightness:3"}),
    Case("severity of corruption", "corrupted", "features record", "dataset.fingerprint dataset.id",
         options={"-d": "folder:images?corrupt=contrast:4"}),
    Case("class map", "zeroshot", "features texts record", "dataset.id dataset.fingerprint protocol.classnames",
         lambda root, _: (root / "other.csv").write_text("green,red\n"), {"--class-map": "other.csv"}),
    Case("what a class map says", "merged", "features texts record", "dataset.fingerprint protocol.classnames",
         replaced("map.csv", "cold", "warm")),
    Case("column of groups", "grouped", "record", "dataset.id protocol.train_fingerprint", options={"--group": "ward"}),
    Case("group of an image", "grouped", "record", "protocol.train_fingerprint dataset.fingerprint",
         replaced("list.csv", "0.png,red,1", "0.png,red,3")),
    Case("head", "neighbours", "record", "system", options={"--head": "prototype"}),
    Case("setting of a head", "neighbours", "record", "protocol.settings", options={"--head": "knn?k=2"}),
    Case("metric", "zeroshot", "record", "protocol.metric", options={"--metric": "mean_per_class_accuracy"}),
    Case("dataset", "zeroshot", "features record", "dataset.id", options={"-d": "folder:images/val"}),
    *(Case(f"version of {name}", "zeroshot", "features texts", "features.versions texts.versions", version_of(name))
      for name in ("torch", "transformers", "pillow")),
    Case("image encoder of ASIF", "asif", ALL, "model.weights_sha256", weights("vit")),
    Case("text encoder of ASIF", "asif", "texts record", "model.weights_sha256", weights("bert")),
    Case("text encoder's configuration", "asif", "texts record", "model.weights_sha256",
         edited("bert/config.json", hidden_act="relu")),
    Case("text encoder's tokenizer", "asif", "texts record", "protocol.tokenizer_sha256", tokens("bert")),
    Case("captions of anchors", "asif", "texts record", "model.weights_sha256",
         replaced("captioned/train/metadata.jsonl", "a photo of a red dog", "two green cat")),
    Case("image of an anchor", "asif", "features texts record", "model.weights_sha256 protocol.anchors",
         pixel("captioned/train/1.png")),
    Case("k of ASIF", "asif", "texts record", "protocol.asif_k",
         options={"-m": "asif:vit+bert@folder:captioned?k=3"}),
    Case("p of ASIF", "asif", "texts record", "protocol.asif_p",
         options={"-m": "asif:vit+bert@folder:captioned?p=2"}),
    Case("layer", "probe", "record", "protocol.layer", options={"--features-layer": "proj"}),
    Case("training images", "probe", "features record", "protocol.train_fingerprint",
         pixel("images/train/red/1.png")),
    Case("validation images", "probe", "features record", "protocol.val_fingerprint", pixel("images/val/red/1.png")),
    Case("normalisation", "probe", "record", "protocol.normalize", options={"--normalize": None}),
    Case("strength", "probe", "record", "protocol.c", options={"--c": "0.5"}),
    Case("search", "probe", "record", "protocol.c protocol.validation", options={"--c": "auto"}),
    Case("refit", "probe", "record", "protocol.refit", options={"--refit": None}),
    Case("solver", "probe", "record", "protocol.solver", options={"--solver": "sklearn"}),
    Case("start", "probe", "record", "system", options={"--init": "zeroshot"}),
    Case("tokenizer of the start", "probe", "texts record", "protocol.tokenizer_sha256", tokens("clip"),
         {"--init": "zeroshot"}),
    Case("test set", "probe", "features texts record", "protocol.classes_from protocol.left_out_classes "
         "protocol.class_map", other_classes, {"--test-on": "folder:elsewhere", "--class-map": "map.json"}),
    Case("shots", "few", "record", "shots", options={"--shots": "1"}),
    Case("number of samples", "few", "record", "protocol.seeds", options={"--seeds": "3"}),
    Case("seed of samples", "few", "record", "seed", options={"--seed": "1"}),
    Case("share held out", "undivided", "record", "protocol.holdout", options={"--holdout": "0.5"}),
    Case("captions", "retrieval", "texts record", "dataset.fingerprint",
         replaced("captioned/test/metadata.jsonl", "a photo of a red dog", "two green cat")),
    Case("ranked again", "retrieval", "features texts record", "protocol.rerank",
         options={"-m": "blip", "--rerank": "2"}),
    Case("captions per image", "retrieval", "texts record", "protocol.captions protocol.captions_per_image",
         options={"--captions": "1"}),
    Case("tokenizer for retrieval", "retrieval", "texts record", "protocol.tokenizer_sha256", tokens("clip")),
    Case("reference", "scores", "record", "dataset.fingerprint", replaced("references.json", "dog", "cow")),
    Case("candidate", "scores", "record", "protocol.captions", replaced("candidates.json", "dog", "cow")),
    Case("name", "scores", "record", "system", options={"-p": "mine=candidates.json"}),
    Case("metrics", "scores", "record", "protocol.metrics", options={"--metrics": "cider"}),
    Case("backend", "scores", "record", "protocol.backend", options={"--backend": "java"}),
    Case("resamples", "scores", "record", "protocol.resamples", options={"--resamples": "200"}),
    Case("document frequencies", "scores", "record", "protocol.df", options={"--df-from": "others.json"}),
    Case("images drawn", "scores", "record", "protocol.limit n", options={"--limit": "4"}),
    Case("images missing", "scores", "record", "n", options={"-p": "fewer.json", "--allow-missing": None}),
    Case("number of references", "scores", "record", "protocol.references", options={"-r": "others.json"}),
    Case("groups", "scores", "record", "protocol.group", options={"-r": "grouped.csv"}),
    Case("weights of CLIPScore", "clipscore", ALL, "protocol.clip", weights("clip")),
    Case("tokenizer of CLIPScore", "clipscore", "texts record", "protocol.clip", tokens("clip")),
    Case("preprocessing of CLIPScore", "clipscore", ALL, "protocol.clip", edited(PROCESSOR, resample=2)),
    Case("weights of a captioner", "captioner", "captions record", "model.weights_sha256 captions.weights_sha256",
         weights("captioner")),
    Case("preprocessing of a captioner", "captioner", "captions record", "protocol.processor "
         "captions.decoding.processor", edited("captioner/preprocessor_config.json", resample=2)),
    Case("tokenizer of a captioner", "captioner", "captions record", "protocol.processor",
         edited("captioner/tokenizer_config.json", model_max_length=999)),
    Case("precision of a captioner", "captioner", "captions record", "protocol.precision "
         "captions.decoding.precision", options={"--precision": "bf16"}),
    Case("prompt", "captioner", "captions record", "protocol.prompt captions.decoding.prompt",
         options={"--prompt": "a dog"}),
    Case("beams", "captioner", "captions record", "protocol.num_beams captions.decoding.num_beams",
         options={"--num-beams": "2"}),
    Case("longest caption", "captioner", "captions record", "protocol.max_new_tokens captions.decoding.max_new_tokens",
         options={"--max-new-tokens": "4"}),
    Case("temperature", "captioner", "captions record", "protocol.temperature captions.decoding.temperature "
         "captions.decoding.seed", options={"--temperature": "0.5"}),
    Case("worked examples", "captioner", "captions record", "protocol.shots captions.decoding.shots "
         "protocol.examples captions.decoding.examples", options={"--shots": "1"}),
    Case("image captioned", "captioner", "record", "dataset.fingerprint", pixel("captioned/test/1.png")),
    Case("version for captions", "captioner", "captions", "captions.versions", version_of("transformers")),
    Case("anchors", "nearest", "texts captions record", "protocol.anchors_sha256 captions.decoding.anchors_sha256",
         replaced("captioned/train/metadata.jsonl", "a photo of a red dog", "two green cat")),
    Case("name of anchors", "nearest", "captions record", "captions.decoding.anchors", copied("captioned", "other"),
         {"--anchors": "folder:other"}),
    Case("number of anchors", "nearest", "texts captions record", "protocol.pairs captions.decoding.pairs",
         replaced("captioned/train/metadata.jsonl", '"a photo of a red dog", ', "")),
    Case("rating", "judgements", "record", "dataset.fingerprint", replaced("ratings.csv", ",3", ",5")),
    Case("number of judgements", "judgements", "record", "protocol.judgements",
         replaced("ratings.csv", "4,dog", "4,dog,1\n4,dog")),
]  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, checkpoints: Callable[[str], Path]) -> Path:
    """A directory with models, images and captions, in which every command ran."""
    root = tmp_path_factory.mktemp("keys")
    for name in ("clip", "vit", "bert", "blip"):
        shutil.copytree(checkpoints(name), root / name)
    (root / "captioner").mkdir()
    _captioners.MAKERS["llava"](root / "captioner")
    generator = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 3), ("test", 4)):
        for colour in ("red", "green", "blue"):
            (root / "images" / split / colour).mkdir(parents=True)
            for number in range(count):
                draw(generator, root / "images" / split / colour / f"{number}.png")
    references = {}
    for split, count in (("train", 4), ("test", 6)):
        (root / "captioned" / split).mkdir(parents=True)
        lines = []
        for number in range(count):
            draw(generator, root / "captioned" / split / f"{number}.png")
            captions = [f"a photo of a {('red', 'green')[number % 2]} dog", "the circle " + "of " * number]
            references[f"{number}"] = captions
            lines.append(json.dumps({"file_name": f"{number}.png", "image_id": f"{number}", "captions": captions}))
        (root / "captioned" / split / "metadata.jsonl").write_text("\n".join(lines))
    candidates = {key: f"a photo of a dog {key}" for key in references}
    for name, value in (
        ("references", references),
        ("candidates", candidates),
        ("fewer", dict(list(candidates.items())[1:])),
        ("others", {key: [*found, "a dog"] for key, found in references.items()}),
    ):
        (root / f"{name}.json").write_text(json.dumps(value))
    with (root / "grouped.csv").open("w", newline="") as file:
        rows = [[key, text, "near" if key < "3" else "far"] for key, found in references.items() for text in found]
        csv.writer(file).writerows([["image_id", "caption", "domain"], *rows])
    ratings = "".join(f"{key},{('dog', 'a dog')[int(key) % 2]},{int(key) % 4}\n" for key in references)
    (root / "ratings.csv").write_text("image_id,candidate,rating\n" + ratings)
    (root / "prompts.json").write_text(
        json.dumps({name: [f"a {name} dog", "a cat"] for name in ("red", "green", "blue")})
    )
    (root / "names.txt").write_text("cat\ndog\nsquare\n")
    (root / "map.csv").write_text("red,warm\nblue,cold\n")
    rows = [f"images/train/{colour}/{number}.png,{colour},{number // 2 + 1},{number % 3}"
            for colour in ("red", "green", "blue") for number in range(8)]  # fmt: skip
    (root / "list.csv").write_text("\n".join(["file_name,label,patient,ward", *rows]))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for name in COMMANDS:
            run(name)
    return root


@pytest.fixture(scope="module")
def bases(sound: Path) -> dict[str, list[dict[str, Any]]]:
    """What decided the records of each command, which makes nothing where it runs again."""
    before = stored(sound)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(sound)
        found = {name: [deciding(record) for record in run(name)] for name in COMMANDS}
    assert stored(sound) == before
    return found


def draw(generator: np.random.Generator, path: Path) -> None:
    Image.fromarray(generator.integers(0, 256, (40, 36, 3), dtype=np.uint8)).save(path)


def run(name: str, options: dict[str, str | None] | None = None) -> list[dict[str, Any]]:
    """Runs a command in the working directory; gives its records."""
    command, usual = COMMANDS[name]
    given = {**usual, **(options or {}), "-o": "out", "--cache-dir": "cache", "--json": None, "-q": None}
    words = [word for pair in given.items() for word in pair if word is not None]
    done = CliRunner().invoke(app, [command, *words])
    assert done.exit_code == 0, done.output
    return [json.loads(Path(one["path"], "result.json").read_text()) for one in json.loads(done.stdout)["results"]]


def stored(root: Path) -> dict[str, set[str]]:
    """What there is of each kind, by name."""
    return {
        "features": {path.parent.name for path in root.glob("cache/features/*/manifest.json")},
        "texts": {path.name for path in root.glob("cache/texts/*.safetensors")},
        "captions": {path.parent.name for path in root.glob("cache/captions/*/key.json")},
        "record": {path.parent.name for path in root.glob("out/runs/*/result.json")},
    }


def flat(value: Any, prefix: str = "", depth: int = 2) -> dict[str, Any]:
    """A record or key as fields: those of what it holds by name, ``protocol.layer``."""
    found = {}
    for name, inner in value.items():
        deeper = isinstance(inner, dict) and depth > 1 and name not in ("clip", "versions")
        found |= flat(inner, f"{prefix}{name}.", depth - 1) if deeper else {f"{prefix}{name}": inner}
    return found


def deciding(record: dict[str, Any]) -> dict[str, Any]:
    """The fields of a record that say what decided it."""
    return flat({name: value for name, value in record.items() if name not in NOT_NUMBERS})


def keys(root: Path, kind: str, names: set[str]) -> Iterator[dict[str, Any]]:
    """The keys of what is stored, as they stand on the disk; those of texts do not."""
    for name in names if kind in ("features", "captions") else ():
        place = {"features": "features/{}/manifest.json", "captions": "captions/{}/key.json"}[kind]
        data = json.loads((root / "cache" / place.format(name)).read_text())
        data = data["value"]["key"] if kind == "features" else data
        yield flat(data, f"{kind}.")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_change_of_it_is_another_key(
    case: Case, sound: Path, bases: dict[str, list[dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if case.options.get("--backend") == "java" and shutil.which("java") is None:
        pytest.skip("no Java on this machine")
    root = tmp_path / "changed"
    shutil.copytree(sound, root, copy_function=shutil.copy2)
    monkeypatch.chdir(root)
    before, base = stored(root), bases[case.command]
    if case.change is not None:
        case.change(root, monkeypatch)
    records = [deciding(record) for record in run(case.command, case.options)]
    made = {kind: names - before[kind] for kind, names in stored(root).items()}
    assert {kind for kind, names in made.items() if names} == set(case.made.split())
    differing = {name for one in records for name in one.keys() | base[0].keys() if one.get(name) != base[0].get(name)}
    for kind, names in made.items():
        old = list(keys(root, kind, before[kind]))
        for new in keys(root, kind, names):
            changes = [{name for name in new if new[name] != other.get(name)} for other in old]
            differing |= set().union(*(found for found in changes if len(found) == min(map(len, changes))))
    known = {name for name in case.fields.split() if not name.startswith("texts.")}
    assert known <= differing


def test_every_field_of_a_key_and_of_a_record_has_a_case(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = {name for case in CASES for name in case.fields.split()}
    classes = {"features": FeatureKey, "texts": TextKey, "captions.decoding": Decoding}
    needed = {f"{kind}.{item.name}" for kind, found in classes.items() for item in fields(found)}
    for kind in ("features", "captions"):
        needed |= {name for key in keys(sound, kind, stored(sound)[kind]) for name in key}
    for path in sound.glob("out/runs/*/result.json"):
        needed |= set(deciding(json.loads(path.read_text())))
    needed |= {f"protocol.{name}" for spec in task_specs() for name in spec.protocol.model_fields}
    needed |= {name for name in Record.model_fields if name not in NOT_NUMBERS | {"model", "dataset", "protocol"}}
    assert sorted(needed - tried) == sorted(NO_INPUT)
