"""The index: built whole or not at all, checked, mended, and told apart by what it was made of."""

import gzip
import json
import os
import shutil
import threading
import zipfile

import numpy as np
import pytest

from vlmbench.foundations.errors import AbsentError
from vlmbench.metrics.captions.meteor import index as meteor_index
from vlmbench.metrics.captions.meteor import native as meteor_native
from vlmbench.metrics.captions.meteor import resources as meteor_resources
from vlmbench.metrics.captions.meteor.index import MeteorIndex, load_index, silent
from vlmbench.metrics.captions.meteor.resources import Sources, find_sources

PAIRS = [
    ("big dog", "hound"),
    ("big dog", "large dog"),
    ("dog", "hound"),
    ("hound", "big dog"),
    ("in front of", "before"),
]


def make(folder, pairs=PAIRS):
    folder.mkdir()
    with zipfile.ZipFile(folder / "m.jar", "w") as archive:
        archive.writestr("function/english.words", "the\nof\n")
        archive.writestr("synonym/english.synsets", "dog\n5 9\nhound\n9\nbig_dog\n7\nlarge\n3\n")
        archive.writestr("synonym/english.exceptions", "dog\ndogz dogges\n")
    with gzip.open(folder / "p.gz", "wt", encoding="utf-8") as table:
        table.writelines(f"0.5\n{first}\n{second}\n" for first, second in pairs)
    return Sources(folder / "m.jar", folder / "p.gz")


def node(index, phrase):
    numbers = index.find(phrase.split())
    at = int(index.roots[numbers[0]])
    for number in numbers[1:]:
        row = slice(index.children[at], index.children[at + 1])
        assert list(index.node_words[row]) == sorted(index.node_words[row])
        at = int(index.children[at]) + list(index.node_words[row]).index(number)
    return at


def paraphrases(index, phrase):
    at = node(index, phrase)
    return index.pairs[index.pair_starts[at] : index.pair_starts[at + 1]].tolist()


def test_holds_the_data(tmp_path):
    index = load_index(tmp_path / "cache", sources=make(tmp_path / "data"))
    for phrase in {first for first, _ in PAIRS}:
        assert paraphrases(index, phrase) == [node(index, other) for first, other in PAIRS if first == phrase]
    assert not index.is_phrase[node(index, "in front")]
    assert index.is_phrase[node(index, "before")]
    dog, hound, dogges, the, absent = index.find(["dog", "hound", "dogges", "the", "absent"])
    assert absent == -1
    assert index.function[the]
    assert not index.function[dog]
    rows = [index.synsets[index.synset_starts[i] : index.synset_starts[i + 1]].tolist() for i in (dog, hound, dogges)]
    assert rows[0] == rows[2]
    assert set(rows[0]) & set(rows[1])


def test_words_that_no_index_holds(tmp_path):
    index = load_index(tmp_path / "cache", sources=make(tmp_path / "data"))
    assert index.find(["", "\x00", "dog\x00", "x" * 999, "\ud800", "dog"]).tolist()[:-1] == [-1] * 5
    assert index.find([]).tolist() == []


def test_loads_what_was_built(tmp_path):
    sources = make(tmp_path / "data")
    load_index(tmp_path / "cache", sources=sources)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
    load_index(tmp_path / "cache", sources=sources)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")} == before


@pytest.mark.parametrize("damage", ["cut", "changed", "manifest", "missing"])
def test_a_damaged_index_is_built_anew(tmp_path, damage):
    sources = make(tmp_path / "data")
    index = load_index(tmp_path / "cache", sources=sources)
    expected = paraphrases(index, "big dog")
    pairs, manifest = index.folder / "pairs.npy", index.folder / "manifest.json"
    data = bytearray(pairs.read_bytes())
    del index
    if damage == "cut":
        pairs.write_bytes(data[:-4])
    elif damage == "changed":
        data[-1] ^= 1
        pairs.write_bytes(data)
        os.utime(pairs, ns=(1, 1))
    elif damage == "manifest":
        noted = json.loads(manifest.read_text())
        noted["files"]["pairs"] = "0" * 64
        manifest.write_text(json.dumps(noted))
    else:
        pairs.unlink()
    assert paraphrases(load_index(tmp_path / "cache", sources=sources), "big dog") == expected
    assert not list((tmp_path / "cache" / "meteor").glob(".tmp-*"))


def test_a_flipped_bit_in_any_array_is_found_whatever_the_file_s_time(tmp_path, caplog):
    sources = make(tmp_path / "data")
    folder = load_index(tmp_path / "cache", sources=sources).folder
    for path in sorted(folder.glob("*.npy")):
        sound, state = path.read_bytes(), path.stat()
        for at in {0, len(sound) // 3, len(sound) // 4096 * 4096 - 1, len(sound) - 1} - {-1}:
            data = bytearray(sound)
            data[at] ^= 1
            path.write_bytes(data)
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
            caplog.clear()
            load_index(tmp_path / "cache", sources=sources)
            assert path.read_bytes() == sound, f"{path.name} at {at}"
            assert "damaged in the cache" in caplog.text


def test_words_that_change_places_in_an_array_are_found(tmp_path):
    path, values = tmp_path / "pairs.npy", np.arange(4096, dtype=np.int64)
    np.save(path, values)
    before = meteor_index._checksum(path)
    values[[600, 800]] = values[[800, 600]]  # in one page of 4,096 bytes, whose sum stays
    np.save(path, values)
    assert meteor_index._checksum(path) != before


def test_a_damaged_kernel_is_compiled_anew(tmp_path, monkeypatch, caplog):
    pytest.importorskip("llvmlite")
    import vlmbench.metrics.captions.meteor.build as build
    from vlmbench.metrics.captions.meteor.native import _code

    monkeypatch.setattr(build, "compile_kernel", lambda: b"machine code")
    assert _code(tmp_path, silent) == b"machine code"
    [path] = tmp_path.glob("kernel-*.bin")
    monkeypatch.setattr(build, "compile_kernel", lambda: b"compiled anew")
    assert _code(tmp_path, silent) == b"machine code"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert _code(tmp_path, silent) == b"compiled anew"
    assert "damaged in the cache" in caplog.text


def test_a_copied_index_is_checked_by_its_hash_and_kept(tmp_path):
    sources = make(tmp_path / "data")
    folder = load_index(tmp_path / "cache", sources=sources).folder
    for path in folder.glob("*.npy"):
        os.utime(path, ns=(1, 1))
    assert load_index(tmp_path / "cache", sources=sources).folder == folder
    assert all(path.stat().st_mtime_ns == 1 for path in folder.glob("*.npy"))


def test_other_data_has_another_index(tmp_path):
    first = load_index(tmp_path / "cache", sources=make(tmp_path / "one"))
    second = load_index(tmp_path / "cache", sources=make(tmp_path / "two", PAIRS[:2]))
    assert first.folder != second.folder


def test_an_index_of_other_data_in_its_place_is_not_believed(tmp_path, caplog):
    one, two = make(tmp_path / "one"), make(tmp_path / "two", PAIRS[:2])
    folder = load_index(tmp_path / "cache", sources=one).folder
    other = load_index(tmp_path / "cache", sources=two).folder
    shutil.rmtree(folder)
    shutil.copytree(other, folder)
    caplog.clear()
    assert len(load_index(tmp_path / "cache", sources=one).pairs) == len(PAIRS)
    assert "damaged in the cache" in caplog.text


def test_builders_at_once_build_it_once(tmp_path, monkeypatch):
    sources = make(tmp_path / "data")
    found: list[MeteorIndex] = []
    built: list[str] = []
    build = meteor_index._build
    monkeypatch.setattr(meteor_index, "_build", lambda *given: (built.append("once"), build(*given)))
    threads = [
        threading.Thread(target=lambda: found.append(load_index(tmp_path / "cache", sources=sources))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert built == ["once"]
    for index in found:
        np.testing.assert_array_equal(index.pairs, found[0].pairs)


def test_absent_or_damaged_data_says_how_to_mend_it(tmp_path, monkeypatch):
    sources = make(tmp_path / "data")
    sources.paraphrases.write_bytes(sources.paraphrases.read_bytes()[:-12] + b"12345678")
    with pytest.raises(AbsentError, match="pip install") as damaged:
        load_index(tmp_path / "cache", sources=sources)
    assert damaged.value.exit_code == 4
    monkeypatch.setattr(meteor_resources.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(AbsentError, match="pip install"):
        find_sources()


def test_without_a_compiler_the_kernel_is_none(tmp_path, monkeypatch, caplog):
    def fails(folder, progress):
        raise ImportError("no numba")

    monkeypatch.setattr(meteor_native, "_code", fails)
    assert meteor_native.load_kernel(tmp_path) is None
    assert "slow" in caplog.text
