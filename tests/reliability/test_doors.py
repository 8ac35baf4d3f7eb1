"""Odd inputs, one by one: each ends with one clear error of the contract, at once, whatever they are fed through."""

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import zipfile
import zlib
from functools import cache
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from vlmbench.cli.app import app

REFERENCES = {"1": ["a dog"], "2": ["a cat"]}
ZERO = ["zeroshot", "-m", "tiny-clip"]
TEXTS = {
    "references": ["caption-eval", "-r", "{}", "-p", "{good}", "--metrics", "bleu"],
    "candidates": ["caption-eval", "-r", "{good}", "-p", "{}", "--metrics", "bleu"],
    "judgements": ["metric-eval", "-j", "{}"],
    "prompts": ["zeroshot", "-m", "tiny-clip", "-d", "digits", "--prompts", "{}"],
    "class names": ["zeroshot", "-m", "tiny-clip", "-d", "digits", "--classnames", "{}"],
    "instances": ["zeroshot", "-m", "tiny-clip", "-d", "boxes:{}#folder:{images}"],
    "annotations": ["retrieval", "-m", "tiny-clip", "-d", "coco:{}#{images}"],
    "plan": ["run", "{}"],
    "list": ["zeroshot", "-m", "tiny-clip", "-d", "file:{}"],
    "features": ["linear-probe", "--features", "{}"],
    "probe": ["predict", "-p", "{}", "{image}"],
    "saved probe": ["linear-probe", "-d", "digits", "--load-probe", "{}"],
    "class map": ["zeroshot", "-m", "tiny-clip", "-d", "digits", "--class-map", "{}"],
    "map of a test set": ["linear-probe", "-m", "pixels", "-d", "digits", "--test-on", "shapes", "--class-map", "{}"],
    "grouped list": ["linear-probe", "-m", "pixels", "-d", "file:{}", "--group", "candidate"],
    "known captions": ["caption-eval", "-r", "{good}", "-p", "{good}", "--metrics", "bleu", "--novel-to", "{}"],
}
NAMES = {"plan": "odd.toml", "features": "odd.npz", **dict.fromkeys(("list", "grouped list"), "odd.jsonl"),
         **dict.fromkeys(("probe", "saved probe"), "odd.safetensors")}  # fmt: skip


def call(place: Path, line: list[str], named: object = "") -> tuple[int, str]:
    """Exit code, and what stands on stderr, of a command; `{}` is `named`."""
    images = place / "some" / "images"
    if not images.is_dir():
        for number, name in enumerate(("cat", "dog")):
            (images / name).mkdir(parents=True)
            Image.new("RGB", (20, 16), (number * 90, 10, 200)).save(images / name / "a.png")
        (place / "some" / "good.json").write_text(json.dumps({"1": "a dog", "2": "a cat"}))
    known = {"good": place / "some" / "good.json", "images": images, "image": images / "cat" / "a.png"}
    words = [word.replace("{}", str(named)) if word != "{}" else str(named) for word in line]
    for name, value in known.items():
        words = [word.replace("{" + name + "}", str(value)) for word in words]
    surroundings = {"VLMBENCH_OUT": str(place / "out"), "VLMBENCH_CACHE_DIR": str(place / "cache")}
    done = CliRunner().invoke(app, words, env=surroundings)
    assert "Traceback" not in done.output
    assert done.exit_code in (0, 2, 3, 4), done.output
    return done.exit_code, done.stderr


@pytest.mark.parametrize("what", TEXTS)
@pytest.mark.parametrize("kind", ["named pipe", "device", "socket", "link to a device"])
def test_what_is_no_regular_file_is_refused_at_once(what: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / NAMES.get(what, "odd.json")
    if kind == "named pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "socket":
        os.chdir(tmp_path)  # a socket's path is short
        socket.socket(socket.AF_UNIX).bind(path.name)
    else:
        path.symlink_to("/dev/urandom")
    code, said = call(tmp_path, TEXTS[what], path)
    assert code == 3, said
    assert kind.removeprefix("link to ").removeprefix("a ") in said or "cannot read" in said or "list" in what, said


def test_a_link_to_a_file_and_a_pipe_of_the_shell_are_read(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(json.dumps(REFERENCES))
    (tmp_path / "link.json").symlink_to("good.json")
    code, said = call(
        tmp_path, ["caption-eval", "-r", "{}", "-p", "{good}", "--metrics", "bleu"], tmp_path / "link.json"
    )
    assert code == 0, said
    script = f'"{sys.executable}" -m vlmbench caption-eval -r <(cat good.json) -p good.json --metrics bleu --json'
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


TEXT = {
    "not UTF-8": b'{"1": ["caf\xe9"]}',
    "a lone surrogate": b'{"\\ud800": ["\\ud800"], "images": [{"id": "\\udcff"}], "annotations": []}',
    "a lone surrogate in a row": b'{"image_id": 1, "candidate": "\\udcff", "rating": 1, "file_name": "a", "label": 1}',
    "5,000 digits": b'{"image_id": ' + b"9" * 5000 + b"}",
    "100,000 levels": b"[" * 100_000 + b"]" * 100_000,
    "900 levels": b'{"image_id": ' + b"[" * 900 + b"]" * 900 + b"}",
    "100,000 levels of objects": b'{"a":' * 100_000,
    "a long cell": b"image_id,caption,candidate,rating\n1," + b"a" * 200_000 + b",a,1\n2,a,b,2\n",
    "NUL": b'{"image_id": "\\u0000", "caption": "a\\u0000b", "file_name": "\\u0000.png", "label": "\\u0000"}\n\0',
    "nothing": b"",
    "a gzip bomb": None,
}


@cache
def gzip_bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(bytes(2**20)) for _ in range(80)), packer.flush()])


@pytest.mark.parametrize("what", [name for name in TEXTS if name not in ("features", "probe", "saved probe")])
@pytest.mark.parametrize("content", TEXT)
def test_odd_text_is_one_error(what: str, content: str, tmp_path: Path) -> None:
    path = tmp_path / NAMES.get(what, "odd.json")
    path.write_bytes(gzip_bomb() if TEXT[content] is None else TEXT[content])
    code, said = call(tmp_path, TEXTS[what], path)
    if content == "a long cell":
        assert "field larger" not in said, said
    else:
        assert code == 3, said
        assert path.name in said.replace("\n", ""), said


NAMES_OF_CLASSES = ["\ud800", "a\0b", "\udcff", "9" * 5000]


@pytest.mark.parametrize("name", NAMES_OF_CLASSES, ids=ascii)
def test_odd_class_names_and_prompts_end_within_the_contract(name: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    path.write_text(json.dumps([name, *"bcdefghij"]))
    assert call(tmp_path, [*TEXTS["class names"], "--limit", "8"], path)[0] in (0, 3)
    path.write_text(json.dumps([name + " {}"]))
    assert call(tmp_path, [*TEXTS["prompts"], "--limit", "8"], path)[0] in (0, 3)


def test_a_template_of_300_characters(tmp_path: Path) -> None:
    assert call(tmp_path, [*TEXTS["prompts"], "--limit", "8"], "a {} " + "x" * 300)[0] == 0


def test_a_key_that_stands_twice_where_it_decides(tmp_path: Path) -> None:
    path = tmp_path / "twice.json"
    path.write_text('{"digits": ["a {}"], "digits": ["b {}"]}')
    code, said = call(tmp_path, TEXTS["prompts"], path)
    assert code == 3
    assert "digits occurs twice" in said


def instances(**changed: object) -> dict[str, object]:
    bbox = changed.pop("bbox", [1, 1, 5, 5])
    return {
        "images": [{"id": 1, "file_name": "cat/a.png", "width": 20, "height": 16} | changed],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": bbox}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }


ODD_INSTANCES = [
    *({"bbox": [0, 0, value, 5]} for value in (1e308, float("inf"), float("nan"), 10**400)),
    *({"width": value} for value in (1.5, float("inf"), 1e308, 10**400, "20", 0)),
    *({"file_name": value} for value in (".", "..", "/", "a\0", "x" * 5000, "\ud800", "a/.")),
]


@pytest.mark.parametrize("changed", ODD_INSTANCES, ids=lambda changed: ascii(changed)[:40])
def test_odd_instances_are_named(changed: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(instances(**changed)))
    code, said = call(tmp_path, TEXTS["instances"], path)
    assert code == 3, said


@pytest.mark.parametrize("option", ["error", "skip"])
@pytest.mark.parametrize("kind", ["/dev/zero", "/dev/urandom", "pipe", "huge"])
def test_images_that_are_no_regular_files(kind: str, option: str, tmp_path: Path) -> None:
    call(tmp_path, ["list", "heads"])
    odd = tmp_path / "some" / "images" / "cat" / "odd.png"
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "huge":
        with open(odd, "wb") as file:
            file.truncate(10**12)
    else:
        odd.symlink_to(kind)
    line = ["embed", "-m", "pixels", "-d", "folder:{images}", "--on-bad-image", option]
    code, said = call(tmp_path, line)
    assert code == (3 if option == "error" else 0), said
    listed = tmp_path / "list.csv"
    listed.write_text(f"file_name,label\n{tmp_path}/some/images/dog/a.png,dog\n{odd},cat\n")
    line = ["embed", "-m", "pixels", "-d", f"file:{listed}", "--on-bad-image", option]
    assert call(tmp_path, line)[0] == (3 if option == "error" else 0)
    line = ["caption", "-m", "tiny-captioner", str(odd), "{image}"]  # an image without a caption is told of
    code, said = call(tmp_path, line)
    assert code == 0
    assert "1 images have no caption" in said


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names that are not UTF-8")
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    call(tmp_path, ["list", "heads"])
    images = tmp_path / "some" / "images"
    shutil.copytree(images, tmp_path / "files")
    (images / "cat").rename(images / os.fsdecode(b"caf\xe9"))
    code, said = call(tmp_path, ["embed", "-m", "pixels", "-d", f"folder:{images}"])
    assert (code, "not UTF-8" in said) == (3, True)
    (tmp_path / "files" / "cat" / "a.png").rename(tmp_path / "files" / "cat" / os.fsdecode(b"\xe9.png"))
    code, said = call(tmp_path, ["embed", "-m", "pixels", "-d", f"folder:{tmp_path / 'files'}"])
    assert (code, "not UTF-8" in said) == (3, True)


@pytest.mark.parametrize("way", ["DEFLATED", "LZMA", "BZIP2"])
def test_zip_members_with_broken_data(way: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", getattr(zipfile, f"ZIP_{way}")) as archive:
        archive.writestr("cat/a.png", os.urandom(2000) + bytes(2000))
    data = bytearray(buffer.getvalue())
    start = 30 + len("cat/a.png") + (9 if way == "LZMA" else 0)
    data[start : start + 200] = b"\xff" * 200
    (tmp_path / "broken.zip").write_bytes(data)
    code, said = call(tmp_path, [*ZERO, "-d", "file:{}"], tmp_path / "broken.zip")
    assert (code, "cannot unpack" in said) == (3, True)


def test_bombs_are_refused(tmp_path: Path) -> None:
    zeros = bytes(260 * 2**20)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("cat/a.png", zeros)
    code, said = call(tmp_path, [*ZERO, "-d", "file:{}"], tmp_path / "bomb.zip")
    assert (code, "refused as a decompression bomb" in said) == (3, True)
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz", compresslevel=1) as tar:
        item = tarfile.TarInfo("cat/a.png")
        item.size = len(zeros)
        tar.addfile(item, io.BytesIO(zeros))
    code, said = call(tmp_path, [*ZERO, "-d", "file:{}"], tmp_path / "bomb.tar.gz")
    assert (code, "refused as a decompression bomb" in said) == (3, True)


def test_a_class_names_file_of_many_entries(tmp_path: Path) -> None:
    from vlmbench.data.base import DatasetInfo
    from vlmbench.heads.classnames import class_names

    names = [f"class {number}" for number in range(100_000)]
    info = DatasetInfo("big", None, ("test",), tuple(names), raw_classnames=tuple(names))
    (tmp_path / "names.json").write_text(json.dumps({"big": names[::-1]}))
    assert class_names(str(tmp_path / "names.json"), info, tmp_path).names[0] == ("class 0",)


LARGE = """
import io, resource, sys
import numpy as np
from PIL import Image
from vlmbench.data.images import decode, decode_stored
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
raw = open(sys.argv[1], "rb").read()
image = decode(raw, "large")
assert image.mode == "RGB"
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


MODES = [("L", 11000, 8), ("I;16", 2000, 14), ("LA", 2000, 14), ("F", 2000, 18)]


@pytest.mark.parametrize(("mode", "height", "bytes_each"), MODES)
def test_a_large_image_takes_little_more_than_its_pixels(
    mode: str, height: int, bytes_each: int, tmp_path: Path
) -> None:
    path = tmp_path / ("large.tif" if mode == "F" else "large.png")
    Image.new(mode, (12000, height)).save(path)
    done = subprocess.run([sys.executable, "-c", LARGE, str(path)], capture_output=True, text=True, check=True)
    assert float(done.stdout) < bytes_each * 12000 * height / 2**20 + 60, f"{mode}: {done.stdout} MiB"


def test_an_npz_that_unpacks_to_too_much(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ("x_train", "x_test"):
            archive.writestr(f"{name}.npy", bytes(550 * 2**20))
    code, said = call(tmp_path, TEXTS["features"], tmp_path / "bomb.npz")
    assert (code, "refused as a decompression bomb" in said) == (3, True)


@pytest.mark.parametrize("text", ['out = "a\\u0000b"', "a." * 50_000 + "a = 1", "seed = " + "9" * 5000, "[" * 90_000])
def test_odd_settings_end_every_command_with_one_error(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("vlmbench.toml").write_text(text)
    code, said = call(tmp_path, ["list", "heads"])
    assert code == 3, said
    assert "vlmbench.toml" in said.replace("\n", "")


def test_a_fault_before_a_command_begins_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlmbench.cli.settings.apply", lambda command: 1 / 0)
    done = CliRunner().invoke(app, ["list", "heads"], env={"VLMBENCH_CACHE_DIR": str(tmp_path)})
    assert done.exit_code == 70, done.output
    assert "the log is" in done.stderr


@pytest.mark.parametrize(
    "line",
    [
        ["caption-eval", "-r", "{}", "-p", "{good}"],
        ["caption-eval", "-r", "{good}", "-p", "x={}"],
        ["caption-eval", "-r", "{good}", "-p", "{good}", "--novel-to", "{}"],
        ["compare", "x={}"],
        ["zeroshot", "-m", "tiny-clip", "-d", "boxes:{}#folder:{images}"],
    ],
    ids=" ".join,
)
def test_a_text_in_the_place_of_a_path_is_no_file(line: list[str], tmp_path: Path) -> None:
    """``-r "$(cat references.json)"`` was a fault: its name is too long for a file."""
    code, said = call(tmp_path, line, json.dumps({str(number): ["a dog"] for number in range(300)}))
    assert code in (3, 4), said
    assert "fault" not in said
