import json
import os
import threading

import pytest

from vlmbench.foundations import atomic, errors, hashing, paths, seeds, text


def test_each_error_has_the_exit_code_of_the_contract():
    codes = {
        cls.__name__: cls("x").exit_code
        for cls in (errors.UsageError, errors.InputError, errors.OutputError, errors.AbsentError)
    }
    assert codes == {"UsageError": 2, "InputError": 3, "OutputError": 3, "AbsentError": 4}


def test_an_error_says_what_where_and_how_to_mend_it():
    message = str(errors.InputError("no classes", where="photos/", fix="make one folder per class"))
    assert message.splitlines() == ["no classes", "where: photos/", "fix: make one folder per class"]


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    target = tmp_path / "result.json"
    atomic.write_json(target, {"b": 1, "a": 2})
    with pytest.raises(RuntimeError), atomic.atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert json.loads(target.read_text()) == {"a": 2, "b": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_json_is_byte_identical_and_refuses_nan(tmp_path):
    atomic.write_json(tmp_path / "a", {"x": 1.5, "é": [1]})
    atomic.write_json(tmp_path / "b", {"é": [1], "x": 1.5})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json(tmp_path / "c", {"x": float("nan")})
    assert not (tmp_path / "c").exists()


def test_a_directory_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), atomic.atomic_directory(tmp_path / "shard") as temporary:
        (temporary / "a").write_text("1")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with atomic.atomic_directory(tmp_path / "shard") as temporary:
        (temporary / "a").write_text("1")
    assert (tmp_path / "shard" / "a").read_text() == "1"


def test_two_writers_of_one_directory_both_succeed(tmp_path):
    barrier = threading.Barrier(2)

    def write(name):
        with atomic.atomic_directory(tmp_path / "index") as temporary:
            (temporary / "who").write_text(name)
            barrier.wait(10)

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "index" / "who").read_text() in {"a", "b"}
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_an_unwritable_place_is_an_output_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(errors.OutputError, match="cannot write") as caught:
        atomic.write_text(tmp_path / "file" / "result.json", "x")
    assert str(tmp_path / "file") in caught.value.where
    with pytest.raises(errors.OutputError):
        atomic.require_writable(tmp_path / "file" / "deeper")


def test_files_are_written_under_windows_rules(tmp_path, monkeypatch):
    """Windows flushes only what is open for writing, and renames nothing onto a file that somebody reads."""
    flush, rename, refused = os.fsync, os.replace, []

    def fsync(handle):
        os.write(handle, b"")  # fails as Windows' fsync does, with EBADF, where it is open for reading only
        flush(handle)

    def replace(source, target):
        if len(refused) < 2:
            refused.append(target)
            raise PermissionError(13, "Access is denied", str(target))
        rename(source, target)

    monkeypatch.setattr(atomic, "_WINDOWS", True)
    monkeypatch.setattr(atomic, "fcntl", None)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    atomic.write_text(tmp_path / "a", "x")
    with atomic.atomic_directory(tmp_path / "b") as temporary:
        (temporary / "c").write_text("y")
    assert ((tmp_path / "a").read_text(), (tmp_path / "b" / "c").read_text(), len(refused)) == ("x", "y", 2)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_files_get_the_permissions_the_umask_gives(tmp_path):
    atomic.write_text(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_seeds_differ_by_purpose_and_stay():
    assert seeds.derive_seed(0, "bootstrap") != seeds.derive_seed(0, "few-shot")
    assert seeds.derive_seed(0, "few-shot", 1) != seeds.derive_seed(0, "few-shot", 2)
    assert seeds.derive_seed(7, "x") == seeds.derive_seed(7, "x") == 4823014384566060788


def test_digest_ignores_the_order_of_keys_only():
    assert hashing.digest({"a": 1, "b": 2}) == hashing.digest({"b": 2, "a": 1})
    assert hashing.digest([1, 2]) != hashing.digest([2, 1])


HOSTILE = [
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "a|b",
    "\x1b[2J",
    "\u202egnp.exe",
    "[red]x[/red]",
    "a\nb",
    "\ud800",
    "\\",
    "$x_1^2$ & 50%",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_is_harmless_in_every_format(hostile):
    for escape in (text.terminal, text.html, text.markdown, text.latex, text.csv_cell):
        made = escape(hostile)
        made.encode("utf-8")
        assert not set(made) & set("\x1b\n\r\u202e")
    assert "<" not in text.html(hostile)
    assert text.csv_cell(hostile)[0] not in "=+-@"


def test_ordinary_text_of_every_script_is_left_alone():
    for plain in ("a photo of a cat", "café", "猫の写真", "قطة", "🐱"):
        assert text.visible(plain) == plain


def test_rich_shows_escaped_markup_as_it_was():
    import io

    from rich.console import Console

    for raw in ("[red]x[/red]", "a\\[b]", "\\", "[/]", "x\\\\[bold]y"):
        console = Console(file=io.StringIO(), width=200)
        console.print(text.terminal(raw))
        assert console.file.getvalue() == raw + "\n"


def test_what_is_named_has_to_be_there_and_of_its_kind(tmp_path):
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    assert paths.named_file(tmp_path / "file") == tmp_path / "file"
    assert paths.named_file(tmp_path / "pipe") == tmp_path / "pipe", "as a shell's <(command) is"
    assert paths.named_directory(tmp_path) == tmp_path
    for look in (paths.named_file, paths.named_directory, paths.named_path):
        with pytest.raises(errors.AbsentError, match="no such"):
            look(tmp_path / "none")
        with pytest.raises(errors.AbsentError, match="no such"):
            look(tmp_path / "file" / "below")
        with pytest.raises(errors.InputError, match="cannot open"):
            look(tmp_path / ("x" * 5000))
    with pytest.raises(errors.InputError, match="a directory, not a probe"):
        paths.named_file(tmp_path, what="probe")
    with pytest.raises(errors.InputError, match="is a file, not a directory"):
        paths.named_directory(tmp_path / "file")
