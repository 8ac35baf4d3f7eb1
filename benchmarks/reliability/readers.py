"""Every reader of vlmbench with small valid files for it, as the fuzzer sees them.

A reader takes a file's path and an empty directory, and does what a command does with it before any model runs.
"""

import gzip
import io
import json
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Read = Callable[[Path, Path], object]


@dataclass(frozen=True)
class Reader:
    """A reader and valid files for it, by name."""

    read: Read
    seeds: Mapping[str, bytes]


def readers() -> dict[str, Reader]:
    """All of them, by name."""
    return {
        "captions": Reader(_captions, _caption_files()),
        "captions, Parquet": Reader(_captions, {"refs.parquet": _parquet(image_id=[1, 2], caption=["a dog", "a cat"])}),
        "captioned set": Reader(_coco, {name: _caption_files()[name] for name in ("coco.json", "karpathy.json")}),
        "metadata": Reader(_metadata, {"metadata.jsonl": _METADATA, "metadata.csv": _METADATA_CSV}),
        "list": Reader(_dataset, _LISTS),
        "archive": Reader(_dataset, _archives()),
        "WebDataset": Reader(_dataset, {"shard.tar": _tar("", ("0.png", "0.cls", "1.png", "1.cls"))}),
        "Parquet": Reader(_dataset, {"set.parquet": _parquet(image=[_png(), _png(9)], label=[0, 1])}),
        "plan": Reader(_plan, {"plan.toml": _PLAN}),
        "prompts": Reader(_prompts, _PROMPTS),
        "class names": Reader(_classnames, _CLASSNAMES),
        "class map": Reader(_class_map, _CLASS_MAPS),
        "settings": Reader(_settings, {"vlmbench.toml": _SETTINGS}),
        "groups": Reader(_groups, {"list.csv": _GROUPS, "list.tsv": _GROUPS.replace(b",", b"\t")}),
        "head in the cache": Reader(_head, _head_files()),
        "names": Reader(_names, {"names.txt": _NAMES}),
        "figures": Reader(_figures, {"names.json": _FIGURES}),
        "instances": Reader(_instances, {"instances.json": json.dumps(_INSTANCES).encode()}),
        "judgements": Reader(_judgements, _JUDGEMENTS),
        "features": Reader(_features, _feature_files()),
        "probe": Reader(_probe, {"probe.safetensors": _probe_file()}),
        "model": Reader(_model, _model_files()),
        "captioner": Reader(_captioner, {"config.json": _CAPTIONER, "generation_config.json": b'{"max_length": 20}'}),
        "image": Reader(_image, _images()),
    }


def _info() -> Any:
    from vlmbench.data.base import DatasetInfo

    return DatasetInfo("eurosat", None, ("test",), ("cat", "dog"), raw_classnames=("cat", "dog"))


def _captions(path: Path, place: Path) -> None:
    from vlmbench.data.captions.read import align, read_candidates, read_references, reference_digest
    from vlmbench.foundations.errors import VlmbenchError

    references = None
    try:
        references = read_references(path)
        reference_digest(references.captions)
    finally:
        try:
            found = read_candidates(path)
        except VlmbenchError:
            found = None
    if references is not None and found is not None:
        align(references, [found])


def _coco(path: Path, place: Path) -> None:
    from vlmbench.data.open import open_dataset

    _use(open_dataset(f"coco:{path}", place), place)


def _metadata(path: Path, place: Path) -> None:
    from vlmbench.data.open import open_dataset

    for name in ("a.png", "b.png"):
        (path.parent / name).write_bytes(_png())
    _use(open_dataset(f"folder:{path.parent}", place), place)


def _dataset(path: Path, place: Path) -> None:
    from vlmbench.data.open import open_dataset

    _use(open_dataset(f"file:{path}", place), place)


def _use(dataset: Any, place: Path) -> None:
    """Looks at every image, as an encoder would with ``--on-bad-image skip``."""
    from vlmbench.data.fingerprint import fingerprint
    from vlmbench.data.images import BadImage, decode
    from vlmbench.foundations.progress import Silent

    for name in dataset.info.splits:
        split = dataset.split(name)
        fingerprint(split, place, Silent())
        for row in range(min(len(split), 20)):
            try:
                decode(split.images.read(row), split.ids[row])
            except BadImage:
                continue


def _plan(path: Path, place: Path) -> None:
    from vlmbench.cli import plan_options as p
    from vlmbench.records.task import tasks
    from vlmbench.tasks.plan import read_plan

    found = read_plan(path, tasks())
    words = p.arguments(found.common, p.common_keys())
    common = p.parse_common(found.common, words, [])
    for table in found.tables:
        p.parse_job(table, p.arguments(table, p.keys_of(p.command_of(table.task))), common)


def _prompts(path: Path, place: Path) -> None:
    from vlmbench.heads.prompts import prompt_sets

    for found in prompt_sets([str(path)], _info(), place):
        _ = found.sha256
        _kept(found.protocol())


def _classnames(path: Path, place: Path) -> None:
    from vlmbench.heads.classnames import class_names

    found = class_names(str(path), _info(), place)
    _kept([found.protocol(), found.names])


def _class_map(path: Path, place: Path) -> None:
    from vlmbench.data.base import DatasetInfo
    from vlmbench.data.merged import read_class_map
    from vlmbench.data.names import with_option
    from vlmbench.data.open import open_dataset
    from vlmbench.heads.class_map import match_classes, require_known

    if path.stem == "test-on":
        theirs = DatasetInfo("other", None, ("test",), ("verde", "dog"), raw_classnames=("verde", "dog"))
        given = read_class_map(path)
        require_known(given, [theirs], str(path))
        _kept(match_classes(_info(), theirs, given).mapped)
        return
    listed = path.parent / "list.csv"
    listed.write_bytes(_LIST.replace(b"test", b"train") + b"c.png,bird,train\n")
    [name] = with_option([f"file:{listed}"], "classes", str(path))
    merged = open_dataset(name, place)
    _kept([list(merged.info.classnames), merged.split("train").labels.tolist()])


def _settings(path: Path, place: Path) -> None:
    from vlmbench.cli.settings import read

    for variables in read(path).values():
        for name, value in variables.items():
            assert "\0" not in name + value  # the environment takes none
            os.fsencode(value)


def _groups(path: Path, place: Path) -> None:
    from vlmbench.data.open import open_dataset
    from vlmbench.tasks.held_out import hold_out

    dataset = open_dataset(f"file:{path}?group=patient", place)
    for split in map(dataset.split, dataset.info.splits):
        hold_out(split.labels, dataset.info.classnames, 0.25, 0, str(path), split.groups)


def _head_data() -> Any:
    from vlmbench.heads.spec import HeadData, load_head

    spec = load_head("logistic")
    x = np.random.default_rng(0).normal(size=(8, 3))
    return spec, HeadData(x=x, y=np.arange(8) % 2, classes=2, metric="accuracy", settings={**spec.settings, "c": 1.0})


def _head_files() -> dict[str, bytes]:
    from vlmbench.heads.fitted import fit_once

    with tempfile.TemporaryDirectory() as place:
        fit_once(*_head_data(), Path(place))
        return {path.name: path.read_bytes() for path in Path(place, "heads").iterdir()}


def _head(path: Path, place: Path) -> None:
    """A fit is read as it was stored, or made again: never another one."""
    from vlmbench.heads.fitted import fit_once

    (place / "heads").mkdir(parents=True)
    (place / "heads" / path.name).write_bytes(path.read_bytes())
    spec, data = _head_data()
    found, _ = fit_once(spec, data, place)
    sound = spec.fit(data)
    if not (np.array_equal(found.coef, sound.coef) and found.detail == sound.detail):
        raise ValueError("another fit is believed")


def _names(path: Path, place: Path) -> None:
    """Words of the command line: a line each, as the system gives them."""
    from vlmbench.api import options
    from vlmbench.data.corruptions.kinds import corruptions
    from vlmbench.data.names import DatasetRef
    from vlmbench.encoders.names import parse_model
    from vlmbench.foundations.errors import VlmbenchError
    from vlmbench.heads.spec import HeadRef

    for line in os.fsdecode(path.read_bytes()).replace("\0", "").splitlines():
        for parse in (DatasetRef.parse, HeadRef.parse, parse_model, options.shots, options.strength):
            try:
                str(parse(line))
            except VlmbenchError:
                continue
        try:
            corruptions(line, "--corrupt")
        except VlmbenchError:
            continue


def _figures(path: Path, place: Path) -> None:
    """Names of systems, datasets and classes, as files and in drawings."""
    import xml.etree.ElementTree as ET

    from vlmbench.foundations.files import read_json
    from vlmbench.report.page import figures
    from vlmbench.report.page.class_charts import confusion_svg
    from vlmbench.report.page.vector import pdf

    given = read_json(path)
    texts = [str(text) for text in given][:8] if isinstance(given, list) else [str(given)]
    title, names = texts[0] if texts else "", [*texts, "a", "b"]
    place.mkdir()
    matrix = np.eye(len(names), dtype=np.int64)
    drawing = figures.standalone(confusion_svg("confusion", title, matrix, names), [(0, title, True)], title)
    ET.fromstring(ET.tostring(drawing))  # noqa: S314 - our own
    pdf(drawing)
    small = '<svg viewBox="0 0 40 20"></svg>'  # its picture is made at once
    written = figures._save_all([(name, small, [], title) for name in texts], place)
    written.append(figures.write_confusion_csv(matrix, names, place / "confusion.csv"))
    assert len({path.name.lower() for path in written}) == len(written)
    for own in written:
        assert own.parent == place
        if own.suffix == ".svg":
            ET.parse(own)  # noqa: S314 - our own


def _kept(value: object) -> None:
    """What goes into a record has to be UTF-8."""
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")


def _instances(path: Path, place: Path) -> None:
    from vlmbench.data.open import open_dataset

    (path.parent / "images").mkdir(exist_ok=True)
    for name in ("a.png", "b.png"):
        (path.parent / "images" / name).write_bytes(_png())
    dataset = open_dataset(f"boxes:{path}#folder:{path.parent / 'images'}", place)
    from vlmbench.data.views.crops import shown

    split = shown(dataset, dataset.info.splits[0])
    _kept([list(split.ids), list(dataset.info.classnames)])
    for row in range(min(len(split), 10)):
        split.images.read(row)


def _judgements(path: Path, place: Path) -> None:
    from vlmbench.data.judgements.read import read_judgements

    tokens = path.parent / "Flickr8k.token.txt"
    if not tokens.exists():
        tokens.write_bytes(_TOKENS)
    if path == tokens:
        from vlmbench.data.judgements.flickr8k import read_tokens

        read_tokens(path)
        return
    read_judgements([path], captions=[tokens])


def _features(path: Path, place: Path) -> None:
    from vlmbench.foundations.progress import Silent
    from vlmbench.tasks.probe.features_file import read_features

    _kept(list(read_features(path, Silent()).classnames))


def _probe(path: Path, place: Path) -> None:
    from vlmbench.heads.probe_file import load_probe

    found = load_probe(path)
    found.probabilities(np.ones((2, 3), np.float32))
    _kept([found.classnames, found.model, found.dataset])


def _model(path: Path, place: Path) -> None:
    from vlmbench.encoders.models import find_model
    from vlmbench.encoders.names import parse_model
    from vlmbench.encoders.processors import open_processor

    for name, data in _model_files().items():
        if name != path.name:
            (path.parent / name).write_bytes(data)
    (path.parent / "model.safetensors").write_bytes(_probe_file())
    files = find_model(parse_model(str(path.parent)), place)
    _kept(files.family.kind)
    open_processor(files)


def _captioner(path: Path, place: Path) -> None:
    from vlmbench.captioners.checkpoint import find_checkpoint

    if path.name != "config.json":
        (path.parent / "config.json").write_bytes(_CAPTIONER)
    (path.parent / "model.safetensors").write_bytes(_probe_file())
    _ = find_checkpoint(str(path.parent), place).model_type


def _image(path: Path, place: Path) -> None:
    from vlmbench.data.images import decode, decode_stored
    from vlmbench.data.local.folder import Files

    raw = Files(path.parent, (path.name,)).read(0)
    decode(raw, path.name)
    decode_stored(raw, path.name)


def _png(value: int = 0) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (12, 10), (value, 40, 200)).save(buffer, "PNG")
    return buffer.getvalue()


def _images() -> dict[str, bytes]:
    from PIL import Image, features

    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    image = Image.fromarray(pixels)
    forms = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "ppm": "PPM"}
    forms |= {"ico": "ICO", "tga": "TGA"} | ({"jp2": "JPEG2000"} if features.check("jpg_2000") else {})
    forms |= {"avif": "AVIF"} if features.check("avif") else {}
    found = {}
    for ending, form in forms.items():
        buffer = io.BytesIO()
        image.save(buffer, form)
        found[f"image.{ending}"] = buffer.getvalue()
    for name, mode, form in (("p.png", "P", "PNG"), ("cmyk.jpg", "CMYK", "JPEG"), ("wide.tif", "F", "TIFF")):
        buffer = io.BytesIO()
        image.convert(mode).save(buffer, form)
        found[name] = buffer.getvalue()
    return found


def _caption_files() -> dict[str, bytes]:
    pairs = [{"image_id": 1, "caption": "a dog"}, {"image_id": 2, "caption": "a cat 😀"}]
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}]
    own = [{**pair, "id": n} for n, pair in enumerate(pairs)]
    sentences = [{"raw": "a dog", "tokens": ["a", "dog"]}]
    karpathy = [{"filename": f"{n}.jpg", "cocoid": n, "split": "test", "sentences": sentences} for n in (1, 2)]
    found = {
        "coco.json": json.dumps({"images": images, "annotations": own}).encode(),
        "results.json": json.dumps(pairs).encode(),
        "karpathy.json": json.dumps({"images": karpathy, "dataset": "coco"}).encode(),
        "by-id.json": json.dumps({"1": ["a dog", "dogs"], "2": ["a cat"]}).encode(),
        "lines.jsonl": "\n".join(map(json.dumps, pairs)).encode(),
        "table.csv": b'image_id,caption\n1,"a dog, and"\n2,a cat\n',
        "table.tsv": b"image_id\tcaption_1\tcaption_2\n1\ta dog\tdogs\n2\ta cat\t\n",
    }
    return {**found, "results.json.gz": gzip.compress(found["results.json"], mtime=0)}


def _parquet(**columns: list[Any]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def _tar(mode: str, names: tuple[str, ...]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{mode}") as tar:
        for name in names:
            data = _png() if name.endswith(".png") else b"1"
            item = tarfile.TarInfo(name)
            item.size = len(data)
            tar.addfile(item, io.BytesIO(data))
    return buffer.getvalue()


def _archives() -> dict[str, bytes]:
    names = ("cat/0.png", "dog/1.png")
    found = {f"set.tar.{mode}".rstrip("."): _tar(mode, names) for mode in ("", "gz", "bz2", "xz")}
    for kind, way in (("deflated", zipfile.ZIP_DEFLATED), ("lzma", zipfile.ZIP_LZMA), ("bzip2", zipfile.ZIP_BZIP2)):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", way) as archive:
            for name in names:
                archive.writestr(name, _png())
        found[f"{kind}.zip"] = buffer.getvalue()
    return found


def _feature_files() -> dict[str, bytes]:
    from safetensors.numpy import save

    chance = np.random.default_rng(0)
    arrays = {"x_train": chance.normal(size=(4, 3)).astype(np.float32), "y_train": np.array([0, 1, 0, 1])}
    arrays |= {"x_test": chance.normal(size=(2, 3)).astype(np.float32), "y_test": np.array([0, 1])}
    plain, packed = io.BytesIO(), io.BytesIO()
    np.savez(plain, **arrays)
    np.savez_compressed(packed, **arrays)
    return {"plain.npz": plain.getvalue(), "packed.npz": packed.getvalue(), "set.safetensors": save(arrays)}


def _probe_file() -> bytes:
    from vlmbench.heads.probe_file import Probe, save_probe
    from vlmbench.heads.spec import LinearHead

    fit = LinearHead(np.ones((2, 3)), np.zeros(2))
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "probe.safetensors"
        save_probe(path, Probe(fit, ("cat", "dog"), "tiny-clip", "0" * 64, "proj", False, "digits"))
        return path.read_bytes()


def _model_files() -> dict[str, bytes]:
    sides = {"image_size": 32, "patch_size": 8, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = {"model_type": "clip", "architectures": ["CLIPModel"], "vision_config": sides, "text_config": {}}
    images = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 32}, "crop_size": 32}
    images |= {"do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 3}
    return {"config.json": json.dumps(config).encode(), "preprocessor_config.json": json.dumps(images).encode()}


_CAPTIONER = json.dumps({"model_type": "blip", "architectures": ["BlipForConditionalGeneration"]}).encode()
_METADATA = b'{"file_name": "a.png", "captions": ["a dog"]}\n{"file_name": "b.png", "captions": ["a cat"]}\n'
_METADATA_CSV = b"file_name,caption\na.png,a dog\nb.png,a cat\n"
_LIST = b"file_name,label,split\na.png,cat,train\nb.png,dog,test\n"
_LIST_LINES = b'{"file_name": "a.png", "label": "cat"}\n{"file_name": "b.png", "label": "dog"}\n'
_LISTS = {"list.csv": _LIST, "list.tsv": _LIST.replace(b",", b"\t"), "list.jsonl": _LIST_LINES}
_PLAN = b"""seed = 3
[[zeroshot]]
model = ["tiny-clip"]
dataset = ["digits"]
prompts = ["a photo of a {}."]
[[linear-probe]]
model = ["pixels"]
dataset = ["digits"]
shots = "1,2"
seeds = 2
[[caption-eval]]
references = "refs.json"
candidates = ["cands.json"]
"""
_PROMPTS = {
    "prompts.txt": b"a photo of a {}.\n# none\nan image of {c}\n",
    "list.json": b'["a photo of a {}.", "a {c}"]',
    "by-class.json": b'{"cat": ["a cat with whiskers"], "dog": ["a {} that barks"]}',
    "by-dataset.json": b'{"eurosat": ["a photo of a {}."], "mnist": ["{}"]}',
}
_CLASSNAMES = {
    "names.txt": b"chat\nchien\n",
    "names.json": b'[["cat", "kitty"], "dog"]',
    "by-dataset.json": b'{"eurosat": ["dog", "cat"], "mnist": ["0"]}',
}
_CLASS_MAPS = {
    "merged.csv": b"theirs,ours\ncat,pet\ndog,pet\nbird,other\n",
    "merged.json": b'{"cat": "pet", "dog": null, "bird": 3}',
    "test-on.csv": b"verde,cat\ndog,1\n",
    "test-on.json": b'{"verde": "cat", "dog": 1}',
}
_SETTINGS = b"""device = "cpu"
seed = 3
cache-dir = "a b"
[linear-probe]
shots = "1,4,all"
head = ["tip-adapter", "logistic"]
holdout = 0.25
[zeroshot]
prompts = ["a photo of a {}.", "{}, a thing"]
corrupt = "fog:1-5"
[caption-eval]
num-beams = 2
allow-empty = true
"""
_GROUPS = b"file_name,label,patient\na.png,cat,1\nb.png,dog,1\nc.png,cat,2\nd.png,dog,2\ne.png,cat,3\nf.png,dog,3\n"
_NAMES = b"""digits?corrupt=fog:3
hf:owner/name@main:config?image=a&stream=yes
file:list.csv?group=patient&classes=map.csv
boxes:a.json#folder:images
coco:a.json?restval=yes#images
tip-adapter?alpha=1.5&beta=2
knn?k=5&temperature=0.07
open-clip:ViT-B-32/laion2b
asif:vit+bert@folder:anchors?k=3&p=2
all:1-5,gaussian_noise,fog:3
1,2,4,all
0.5
"""
_FIGURES = b'["tiny-clip on digits, test", "a b", "a-b", "cat", "dog", "1e5"]'
_INSTANCES = {
    "images": [{"id": 1, "file_name": "a.png", "width": 12, "height": 10}, {"id": 2, "file_name": "b.png"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 1, 5, 5], "iscrowd": 0},
        {"id": 2, "image_id": 2, "category_id": 3, "bbox": [0.5, 2.5, 4, 4], "iscrowd": 0},
    ],
    "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
}
_TOKENS = b"1.jpg#0\ta dog\n1.jpg#1\tdogs\n1.jpg#2\tsome dog\n2.jpg#0\ta cat\n2.jpg#1\tcats\n"
_COMPOSITE = (
    b'"HITId";"Input.image_url";"Input.text1";"Input.text2";"Input.text3";"Answer.Q1Answer";"Answer.Q2Answer";"Answer.Q3Answer"\n'
    b'"x";"http://a.b/1.jpg";"a dog";"dogs";"a cat";"5";"4";"1"\n'
)
_JUDGEMENTS = {
    "table.csv": b'image_id,candidate,rating,references\n1,a dog,3,"[""dogs""]"\n1,a cat,1,"[""dogs""]"\n',
    "lines.jsonl": b'{"image_id": 1, "candidate": "a dog", "rating": 3, "reference_1": "x"}\n',
    "ExpertAnnotations.txt": b"1.jpg\t2.jpg#0\t1\t2\t1\n2.jpg\t1.jpg#1\t4\t4\t3\n",
    "CrowdFlowerAnnotations.txt": b"1.jpg\t2.jpg#0\t0\t0\t3\n2.jpg\t1.jpg#1\t1\t3\t0\n",
    "composite.csv": _COMPOSITE,
    "Flickr8k.token.txt": _TOKENS,
}
