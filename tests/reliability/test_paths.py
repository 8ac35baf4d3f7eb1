"""Names of files that every system takes: Windows' devices and lengths, disks that do not tell case apart."""

import json
import os
import random
import shutil
import tarfile
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from PIL import Image
from typer.testing import CliRunner

from vlmbench.cli.app import app
from vlmbench.data.base import ALL
from vlmbench.data.local import archives
from vlmbench.data.local.archives import unpack
from vlmbench.data.local.folder import Files, labelled_folder
from vlmbench.data.local.image_directory import open_images
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.paths import distinct_slugs, leads_outside, slug, windows_takes
from vlmbench.records.result import DatasetFacts, Metric, Record
from vlmbench.records.store import natural, run_id

DEVICES = ["CON", "con", "PRN", "AUX", "nul", "COM1", "lpt9", "con.txt", "Aux.tar.gz", "NUL."]
ODD = [
    "a b",
    "a/b",
    "a:b",
    "..",
    ".hidden",
    "trailing.",
    "trailing ",
    "é",
    "日本",
    "a" * 300,
    "",
    "?*<>|",
    "\\\\?\\C:",
    "-",
]
LONGEST = 200
"""Characters of a path below the results directory: Windows takes 260 in all where nobody changed it."""


REFUSED = ["..\\x.png", "a\\..\\..\\x.png", "C:\\x.png", "c:x.png", "C:/x.png", "\\x.png", "\\\\host\\share\\x.png",
           "\\\\?\\C:\\x.png", "/x.png", "../x.png"]  # fmt: skip
"""Names in archives that lead outside, on Windows or anywhere."""


def plain(name: str) -> bool:
    """Printable ASCII that Windows makes a file of."""
    return windows_takes(name) and all(" " <= letter <= "~" for letter in name)


@pytest.mark.parametrize("text", [*DEVICES, *ODD])
def test_a_slug_is_a_name_on_every_system(text: str) -> None:
    name = slug(text)
    assert plain(name)
    assert not PureWindowsPath(name).is_reserved()
    assert not name.startswith((".", "-"))
    assert len(name) <= 61


def test_ordinary_names_stay_as_they_are() -> None:
    names = ["tiny-clip", "CONCEPTS", "console.log", "auxiliary", "com10x", "vit_b.32", "null"]
    assert [slug(name) for name in names] == names


def test_names_of_many_letters_and_kinds() -> None:
    chance = random.Random(0)
    letters = "aA.-_ :/\\conCON1é\x00\u202e"
    for _ in range(20_000):
        assert plain(slug("".join(chance.choice(letters) for _ in range(chance.randrange(12)))))


def test_what_a_disk_without_case_would_confuse_is_numbered() -> None:
    names = distinct_slugs(["A b", "a-b", "a b", "c", "a-b-2", "x" * 90 + "1", "x" * 90 + "2"])
    assert len({name.lower() for name in names}) == len(names)
    assert names[:2] == ["A-b", "a-b-2"]


def record(system: str, dataset: str, shots: int | None = None) -> Record:
    facts = DatasetFacts(id=dataset, fingerprint="ab" * 32, split="test")
    metrics = {"accuracy": Metric(value=0.5)}
    return Record(task="linear-probe", system=system, dataset=facts, n=1, shots=shots, seed=0, metrics=metrics)


def test_run_directories_differ_without_case_and_are_short() -> None:
    systems = ["clip", "CLIP", "Clip", "c lip", "c-lip", "é", "ü", *DEVICES, "m" * 300, "m" * 299 + "n"]
    names = [run_id(record(system, "d" * 200, shots)) for system in systems for shots in (None, 1, 100_000)]
    assert len({name.lower() for name in names}) == len(names)
    assert all(plain(name) for name in names)
    assert max(len(f"runs/{name}/.tmp-abcdefgh.parquet") for name in names) <= LONGEST


def test_names_in_files_stay_below_their_folder() -> None:
    for name in ("a.png", "a/b.png", "..a/b..", "a b"):
        assert not any(leads_outside(name, system) for system in (PurePosixPath, PureWindowsPath))
    for name in ("/a.png", "../a.png", "a/../../b"):
        assert leads_outside(name, PurePosixPath)
    for name in ("\\a.png", "/a.png", "C:a.png", "c:\\a.png", "..\\a", "\\\\host\\share\\a"):
        assert leads_outside(name, PureWindowsPath)


def test_order_of_names_is_decided_by_names_alone() -> None:
    """Classes 1 and 01 came in the order of the process's hashes, files in the order of the disk."""
    names = ["001", "01", "1", "a", "a02", "a2", "a10", "b"]
    backwards = names[::-1]
    assert sorted(names, key=natural) == sorted(backwards, key=natural) == names


def test_accents_as_macos_encodes_them(tmp_path: Path) -> None:
    nfc, nfd = "caf\u00e9", "cafe\u0301"
    image = Image.new("RGB", (9, 9))
    for split, name in (("train", nfc), ("test", nfd)):
        for directory in (name, "tea"):
            (tmp_path / split / directory).mkdir(parents=True)
            image.save(tmp_path / split / directory / f"{name}.png")
    assert labelled_folder("x", tmp_path).info.classnames == (nfc, "tea"), "one class, whoever unpacked it"
    test = tmp_path / "test"
    assert open_images(test / nfd, [nfc]).split(ALL).images.read(0)
    assert Files(test, (f"{nfc}/{nfc}.png",)).read(0)
    assert Files(test, (f"{nfc}/{nfc}.png",)).stamp()
    (test / nfc).mkdir()
    with pytest.raises(InputError, match="two directories are the class"):
        labelled_folder("x", tmp_path)


def test_embeddings_of_names_that_look_alike_are_files_of_their_own(colours: Path, tmp_path: Path) -> None:
    """One file held the last of them: what a slug leaves out or cuts off told them apart."""
    paths = []
    for folder in ("a b", "a-b", "x" * 120):
        shutil.copytree(colours, tmp_path / folder)
        for split in ("train", "test"):
            line = ["embed", "-m", "pixels", "-d", f"folder:{tmp_path / folder}", "--split", split, "--json"]
            done = CliRunner().invoke(app, [*line, "-o", str(tmp_path), "--cache-dir", str(tmp_path / "cache")])
            assert done.exit_code == 0, done.output
            paths.append(json.loads(done.stdout)["path"])
    assert len(set(paths)) == 6
    assert all(plain(Path(path).name) for path in paths)


def test_what_windows_makes_of_a_name() -> None:
    """Microsoft's rules, of which `PureWindowsPath` knows those of devices."""
    for name in (*DEVICES, "CON .png", "nul.", "com¹", "a.", "a ", "a:b", "a?", "a\nb", ""):
        assert not windows_takes(name), name
    for name in ("a.png", "console", "com10", "aux_", ".a", "é 1.png", "日本"):
        assert windows_takes(name), name
        assert not PureWindowsPath(name).is_reserved()


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archives_with_names_of_windows(kind: str, tmp_path: Path) -> None:
    def packed(*names: str) -> Path:
        path = tmp_path / f"a.{kind}"
        if kind == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                for name in names:
                    info = zipfile.ZipInfo("x")
                    info.filename = info.orig_filename = name  # the constructor takes Windows' separator for its own
                    archive.writestr(info, b"image")
        else:
            with tarfile.open(path, "w") as tar:
                for name in names:
                    tar.addfile(tarfile.TarInfo(name))
        return path

    for name in REFUSED:
        with pytest.raises(InputError, match="a path that points outside"):
            unpack(packed("cat/1.png", name), tmp_path / "cache")
    assert not list(tmp_path.rglob("*.png"))
    if os.name != "nt":
        there = unpack(packed("cat\\1.png", "con/2.png", "dog./3.png"), tmp_path / "cache")
        found = sorted(str(path.relative_to(there)) for path in there.rglob("*.png"))
        assert found == ["cat/1.png", "con/2.png", "dog./3.png"], "backslashes part directories, the rest are names"
    for name in ("cat/nul", "con/1.png", "dog./1.png", "a/1.png:b", "dog /1.png", "a/?.png"):
        with pytest.raises(InputError, match="a name that Windows does not allow"):
            archives._safe(name, tmp_path, windows=True)
    assert archives._safe("a\\b.png", tmp_path, windows=True) == PurePosixPath("a/b.png")
