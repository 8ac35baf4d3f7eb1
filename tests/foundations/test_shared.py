"""A shared cache at addresses of several kinds, and at those of servers that fail or lie."""

import itertools
import pickle
import time
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import known_implementations

import vlmbench
from vlmbench.foundations import shared
from vlmbench.foundations.errors import AbsentError, UsageError
from vlmbench.foundations.shared import SharedCache


class Faulty(MemoryFileSystem):
    """A memory file system of its own, which does as a test says."""

    protocol = "faulty"
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list] = [""]
    does: ClassVar[dict] = {}

    def __getattribute__(self, name):
        found = object.__getattribute__(self, name)
        does = object.__getattribute__(self, "does")
        return does[name] if name in does and callable(found) else found


fsspec.register_implementation("faulty", Faulty, clobber=True)


@pytest.fixture(autouse=True)
def empty():
    """Every test has file systems of its own."""
    for kind in (MemoryFileSystem, Faulty):
        kind.store.clear()
        kind.pseudo_dirs[:] = [""]
    Faulty.does = {}


def fails(error):
    def method(*arguments, **options):
        raise error

    return method


def reads(path, data=b"whole"):
    return lambda: data if path.is_file() and path.read_bytes() == data else None


def machine(address, place):
    """The cache directory of a machine, a file that is to be there, and what reads it."""
    path = place / "features" / "key" / "000000000.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    return SharedCache(address, place), path, reads(path)


@pytest.mark.parametrize("kind", ["memory", "file", "plain"])
def test_what_one_machine_puts_another_takes(tmp_path, kind):
    address = {"memory": "memory://bucket/prefix", "file": (tmp_path / "s").as_uri(), "plain": str(tmp_path / "s")}[
        kind
    ]
    one, path, _ = machine(address, tmp_path / "one")
    other, wanted, read = machine(address, tmp_path / "other")
    assert other.names(wanted.parent) == set()
    assert other.take(wanted, read) is None
    path.write_bytes(b"whole")
    assert one.put(path)
    assert other.names(wanted.parent) == {path.name}  # and nothing temporary
    assert other.take(wanted, read) == b"whole"
    assert wanted.read_bytes() == b"whole"
    assert one.local
    assert one.writable()
    assert pickle.loads(pickle.dumps(other)).names(wanted.parent) == {path.name}  # noqa: S301 - sent to workers


def test_on_a_file_system_a_file_is_moved_to_its_place(tmp_path, monkeypatch):
    """So that a writer that is killed leaves none half."""
    cache, path, _ = machine((tmp_path / "shared").as_uri(), tmp_path / "one")
    path.write_bytes(b"whole")
    monkeypatch.setattr(LocalFileSystem, "mv", fails(OSError("killed")))
    assert not cache.put(path)
    (left,) = (tmp_path / "shared" / "features" / "key").iterdir()
    assert left.name.startswith(".tmp-")


@pytest.mark.parametrize("lie", ["wrong", "huge", "text"])
def test_a_file_that_comes_damaged_is_removed_again(tmp_path, monkeypatch, caplog, lie):
    monkeypatch.setattr(shared, "LARGEST", 100)
    cache, path, read = machine("faulty://x", tmp_path)
    asked = []
    data = {"wrong": b"wrong", "huge": b"x" * 101, "text": "whole"}[lie]
    Faulty.does = {"cat_file": lambda *a, **o: asked.append(a) or data}
    for _ in range(3):
        assert cache.take(path, read) is None
    assert len(asked) == 1  # it is not asked for again
    assert not path.exists()
    assert caplog.messages == [f"cannot read the shared cache faulty://x: {path.name} is damaged there, and not used"]
    for name in "ab":
        cache.take(path.with_name(name), read)
    assert cache.take(path.with_name("c"), read) is None
    assert len(asked) == 3  # a server that lies three times is not asked again
    assert "b is damaged there, and not used; going on without it" in caplog.messages[-1]


def test_a_listing_without_end_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(shared, "NAMES", 5)
    cache, path, _ = machine("faulty://x", tmp_path)
    Faulty.does = {"ls": lambda *a, **o: (f"/x/{n}" for n in itertools.count())}
    assert cache.names(path.parent) == set("01234")


def test_a_server_that_stops_answering_is_waited_for_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(shared, "SECONDS", 0.05)
    cache, path, read = machine("faulty://x", tmp_path)
    cache.names(path.parent)
    Faulty.does = {"cat_file": lambda *a, **o: time.sleep(0.3), "ls": lambda *a, **o: time.sleep(0.3)}
    started = time.monotonic()
    assert [cache.take(path, read) for _ in range(5)] == [None] * 5
    assert cache.names(path.parent) is None
    assert time.monotonic() - started < 0.2
    (said,) = caplog.messages
    assert said == "cannot read the shared cache faulty://x: no answer within 0 seconds; going on without it"


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), RuntimeError("disk on fire")])
def test_where_nothing_can_be_put_a_warning_is_enough(tmp_path, caplog, error):
    cache, path, _ = machine("faulty://x", tmp_path)
    path.write_bytes(b"whole")
    cache.names(path.parent)
    Faulty.does = {"pipe_file": fails(error)}
    assert [cache.put(path) for _ in range(5)] == [False] * 5
    assert not cache.writable()
    said = [text for text in caplog.messages if "going on without it" in text]
    assert len(said) == 1
    assert said[0].startswith("cannot write to the shared cache faulty://x: ")
    assert len(caplog.messages) == (1 if isinstance(error, PermissionError) else 2)


def test_a_failure_now_and_then_is_put_up_with(tmp_path, caplog):
    cache, path, read = machine("faulty://x", tmp_path)
    path.write_bytes(b"whole")
    cache.names(path.parent)
    for _ in range(shared.FAILURES + 1):
        Faulty.does = {"cat_file": fails(RuntimeError("503"))}
        assert cache.take(path, read) is None
        Faulty.does = {}
        assert cache.names(path.parent) == set()
    assert cache.put(path)
    assert len(caplog.messages) == 1


def test_an_address_that_never_answered_is_an_error(tmp_path):
    """No credentials, no such host: hours of work would not be shared."""
    cache, path, read = machine("faulty://x", tmp_path)
    Faulty.does = {"cat_file": fails(RuntimeError("Unable to locate credentials"))}
    with pytest.raises(AbsentError, match="the shared cache cannot be used: ConnectionRefusedError"):
        machine("ftp://127.0.0.1:1/x", tmp_path)[0].names(path.parent)
    with pytest.raises(AbsentError, match=r"the shared cache cannot be used: RuntimeError: Unable to locate") as error:
        cache.take(path, read)
    assert error.value.where == "faulty://x"


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        ("nothing://x/y", UsageError, "fsspec knows no such address"),
        ("s3:/bucket", UsageError, "fsspec knows no such address"),
        ("simplecache::memory://x", UsageError, "fsspec knows no such address"),
        ("sftp://me:secret@host/x", UsageError, "a password or key in an address"),
        ("s3://key:sec/ret@bucket/x", UsageError, "a password or key in an address"),
        ("https://host/x?X-Amz-Signature=secret", UsageError, "a password or key in an address"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_at_once(tmp_path, address, error, said):
    with pytest.raises(error, match=said) as found:
        SharedCache(address, tmp_path)
    assert found.value.where == "shared_cache="
    assert "secret" not in str(found.value)


def test_a_package_that_lacks_is_named(tmp_path, monkeypatch):
    known = {"class": "s3fs_missing.S3FileSystem", "err": "Install s3fs_missing to access S3"}
    monkeypatch.setitem(known_implementations, "missing", known)
    with pytest.raises(AbsentError, match="Install s3fs_missing to access S3") as found:
        SharedCache("missing://bucket", tmp_path)
    assert found.value.fix == "pip install s3fs_missing"


def test_offline_it_is_left_alone_and_a_directory_is_not(tmp_path, monkeypatch):
    from vlmbench.api.options import run_context
    from vlmbench.foundations.progress import Silent

    monkeypatch.setattr("vlmbench.api.options.go_offline", lambda: None)
    reporter = Silent()
    context = run_context(shared_cache="faulty://x", offline=True, cache_dir=tmp_path, reporter=reporter)
    assert context.shared is None
    assert reporter.notes == ["the shared cache faulty://x is not used: offline="]
    assert run_context(shared_cache=str(tmp_path / "s"), offline=True, cache_dir=tmp_path).shared is not None
    assert run_context(shared_cache="faulty://x", cache_dir=tmp_path).shared is not None


def test_the_cache_directory_is_no_address(tmp_path):
    with pytest.raises(UsageError, match="the cache directory is on a disk"):
        vlmbench.zeroshot("tiny-clip", "digits", out=tmp_path, cache_dir="s3://bucket/x")
