"""The files of a hub dataset, split by split: `datasets` says which they are, `huggingface_hub` fetches them."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vlmbench.data.fingerprint import kept_sha256
from vlmbench.data.hub.webdataset import COUNT, MODULE, beside, counted, find_shards
from vlmbench.data.names import AUTO, HubName
from vlmbench.foundations.errors import AbsentError, InputError, VlmbenchError
from vlmbench.foundations.files import read_text
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.notes import read_note, write_note
from vlmbench.foundations.text import visible
from vlmbench.hub import client

LAYOUTS = "Parquet files, WebDataset shards, Arrow, JSON or CSV files, or image folders, as `datasets` lays them out"
_SMALL = 4_000_000
_ROWS = "rows"
_FORMAT = 2


def datasets() -> Any:
    """The library, with its own progress bars turned off."""
    import datasets as library

    library.disable_progress_bars()
    library.logging.set_verbosity(library.logging.CRITICAL)  # what it logs as an error is raised too
    return library


@dataclass(frozen=True)
class Source:
    """A repository at one commit, or a directory.

    Attributes:
        id: the user's name for the dataset.
        cache_dir: where file hashes and facts about repositories are stored.
        repository: ``owner/name``; None for a directory.
        commit: its commit; None for a directory.
        root: the directory; None for a repository.
        module: which reader of `datasets` reads it (``parquet``, ``webdataset``, ``imagefolder`` …).
        data_files: split to files, relative to the root.
        other_files: small files beside them.
        declared: the features its card declares, if any.
        sizes: bytes of each file of a repository, as it lists them.
        checksums: of each file, the checksum by which the hub names it.
        stream: ``auto``, ``yes`` or ``no``: whether splits are read from the hub as they are needed.
    """

    id: str
    cache_dir: Path
    repository: str | None = None
    commit: str | None = None
    root: Path | None = None
    module: str = MODULE
    data_files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    other_files: tuple[str, ...] = ()
    declared: Mapping[str, Any] | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    stream: str = AUTO
    _files: dict[str, tuple[str, ...]] = field(default_factory=dict, init=False)
    _loaded: dict[str, Any] = field(default_factory=dict, init=False)

    @property
    def splits(self) -> tuple[str, ...]:
        """Their names in the repository."""
        return tuple(self.data_files)

    @cached_property
    def features(self) -> Any:
        """The declared features, or None."""
        return datasets().Features.from_dict(dict(self.declared)) if self.declared else None

    def has_shards(self, split: str) -> bool:
        """Whether a split lies in WebDataset tars that are not compressed."""
        return self.module == MODULE and all(name.endswith(".tar") for name in self.data_files[split])

    def files(self, split: str) -> tuple[str, ...]:
        """The files of a split, relative to the root; of tars those that ``nshards.txt`` counts. Raises `AbsentError`
        where it counts more than there are."""
        if split not in self._files:
            names = self.data_files[split]
            if self.has_shards(split):
                names = counted(names, self.small_file(beside(names[0].rpartition("/")[0], COUNT)), self.id)
            self._files[split] = names
        return self._files[split]

    def small_file(self, name: str) -> str | None:
        """The text of a small file of the repository, if there is one."""
        if name not in self.other_files:
            return None
        return small_text(self.fetch((name,)) / name)

    def load(self, split: str) -> Any:
        """The split as a `datasets.Dataset` on the disk; `InputError` where `datasets` cannot read the files."""
        if split not in self._loaded:
            names = self.files(split)
            root = self.fetch(names)
            files = {_ROWS: [str(root / name) for name in names]}  # whatever the split is called: some names are taken
            with reading(self.id):
                self._loaded[split] = datasets().load_dataset(
                    self.module, data_files=files, split=_ROWS, features=self.features
                )
        return self._loaded[split]

    def checksum(self, split: str) -> str | None:
        """A digest of the names and checksums of a split's files, read or not; of a directory's, only of tars.

        It is the same whether the files are fetched, streamed or local, and stays when a commit touches other files
        only.
        """
        if self.repository is None and not self.has_shards(split):
            return None
        names = self.files(split)
        sums = [self.checksums.get(name) or self._checksum_here(name) for name in names]
        return digest([self.module, list(names), sums]) if all(sums) else None

    def _checksum_here(self, name: str) -> str | None:
        if self.root is None:
            return None
        path = self.root / name
        return client.checksum_of(path) or (kept_sha256(path, self.cache_dir) if self.repository is None else None)

    def fetch(self, names: tuple[str, ...]) -> Path:
        """The directory below which files are, fetched now if they were not before. Raises `AbsentError` where a file
        cannot be fetched, or came damaged."""
        if self.root is not None:
            return self.root
        root = client.fetch_dataset(str(self.repository), str(self.commit), names)
        for name in names:
            client.require_sound(root / name, kept_sha256(root / name, self.cache_dir), str(self.repository))
        return root


def small_text(path: Path) -> str:
    """The text of a small file (class names, templates); `InputError` where it is too large for that, or not UTF-8."""
    return read_text(path, most=_SMALL, what="list")


def local(id: str, root: Path, config: str | None, cache_dir: Path) -> Source:
    """The source that is a directory; `InputError` where it has no WebDataset layout, and `datasets` finds nothing to
    read."""
    home = root.absolute()
    names = [path.relative_to(home).as_posix() for form in ("*", "*/*") for path in home.glob(form)]
    source = Source(id, cache_dir, root=home, other_files=_texts(names))
    shards = find_shards(names) if config is None else None
    if shards is not None:
        return replace(source, data_files=shards)
    with reading(id):
        builder = datasets().load_dataset_builder(str(root), name=config)
    return _inferred(source, builder, lambda file: Path(os.path.relpath(file, home)).as_posix())


def remote(id: str, name: HubName, revision: str | None, cache_dir: Path) -> Source:
    """The source that is a repository on the hub, at the commit of its name, else at `revision`.

    What `datasets` found in it is stored in `cache_dir`, so that a commit is inspected once and works offline. Raises
    `AbsentError` where there is no such repository, `InputError` where `datasets` finds nothing in it to read.
    """
    repository, commit = name.name, client.dataset_commit(name.name, name.revision or revision, cache_dir)
    source = Source(id, cache_dir, repository, commit)
    note = cache_dir / "hub" / f"{digest([_FORMAT, repository, commit, name.config])}.json"
    noted = _known(note, source)
    if noted is not None:
        return noted
    if client.offline():
        root = client.dataset_snapshot(repository, commit)
        return replace(local(id, root, name.config, cache_dir), repository=repository, commit=commit)
    listed = client.dataset_files(repository, commit)
    source = replace(source, other_files=_texts(listed))
    shards = find_shards(listed) if name.config is None else None
    if shards is not None:
        source = replace(source, data_files=shards)
    else:
        prefix = f"hf://datasets/{repository}@{commit}/"
        with client.hub_errors(repository, "dataset"), reading(id):
            builder = datasets().load_dataset_builder(repository, name=name.config, revision=commit)
            source = _inferred(source, builder, lambda file: str(file).removeprefix(prefix))
    wanted = {name for names in source.data_files.values() for name in names}
    source = replace(
        source,
        sizes={name: size for name, (size, _) in listed.items() if name in wanted},
        checksums={name: checksum for name, (_, checksum) in listed.items() if name in wanted},
    )
    write_note(
        note,
        {
            "repository": repository,
            "commit": commit,
            "module": source.module,
            "data_files": {split: list(files) for split, files in source.data_files.items()},
            "other_files": list(source.other_files),
            "features": source.declared,
            "sizes": dict(source.sizes),
            "checksums": dict(source.checksums),
        },
    )
    return source


def _texts(names: Iterable[str]) -> tuple[str, ...]:
    """The small files of a repository or directory: at its top, and next to its splits."""
    return tuple(sorted(name for name in names if name.count("/") <= 1 and name.endswith(".txt")))


def _inferred(source: Source, builder: Any, relative: Callable[[Any], str]) -> Source:
    """The source as `datasets` understands the repository or directory."""
    found = builder.config.data_files
    if not found:
        raise InputError(f"no data files in {visible(source.id)}", where=source.id, fix=f"vlmbench reads {LAYOUTS}")
    features = builder.info.features
    return replace(
        source,
        module=type(builder).__module__.rsplit(".", 1)[-1],
        data_files={str(split): tuple(relative(file) for file in files) for split, files in found.items()},
        other_files=tuple(name for name in source.other_files if "/" not in name),
        declared=features.to_dict() if features else None,
    )


def _known(kept: Path, source: Source) -> Source | None:
    """The source stored in a note; None if there is none."""
    try:
        data = read_note(kept)
        return replace(
            source,
            module=str(data["module"]),
            data_files={str(split): tuple(map(str, names)) for split, names in data["data_files"].items()},
            other_files=tuple(data["other_files"]),
            declared=data["features"],
            sizes={str(name): int(size) for name, size in data["sizes"].items()},
            checksums={str(name): str(checksum) for name, checksum in data["checksums"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


@contextmanager
def reading(id: str, *, remote: bool = False) -> Iterator[None]:
    """Turns what `datasets` raises into an error that a user can act on.

    With `remote`, failed connections are left to `hub.client.hub_errors`.
    """
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except (VlmbenchError, HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled):
        raise
    except Exception as error:
        if remote and client.unreachable(error):
            raise
        raise _explained(id, error) from error


def _explained(id: str, error: Exception) -> VlmbenchError:
    if client.disk_full(error):
        return client.no_room(id, "dataset")
    reason = visible(next((line for line in str(error).splitlines() if line.strip()), type(error).__name__))
    if isinstance(error, datasets().exceptions.DatasetNotFoundError):
        return AbsentError(reason, where=id, fix="check the name; if it is private: hf auth login")
    if isinstance(error, ConnectionError):
        return AbsentError(f"the hub cannot be reached: {reason}", where=id, fix="try again with a network")
    if isinstance(error, ValueError) and "onfig name" in str(error):
        return InputError(visible(" ".join(str(error).split())), where=id, fix="hf:owner/name:CONFIG")
    return InputError(f"cannot read {visible(id)}: {reason}", where=id, fix=f"vlmbench reads {LAYOUTS}")
