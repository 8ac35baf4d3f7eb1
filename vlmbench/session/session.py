"""A session: every model is loaded once, every image decoded once, whatever the runs that share them.

Zero-shot, probe and few-shot all ask a session for features and get them from the store; what the store lacks is
encoded in one pass over the images for all the models that lack it.
"""

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from vlmbench.captioners.registry import CAPTIONERS
from vlmbench.data.base import Dataset, Split, choose_split
from vlmbench.data.images import BadImage
from vlmbench.data.names import Chosen, DatasetName, DatasetRef, Tiles
from vlmbench.data.open import open_dataset
from vlmbench.data.views.crops import seen_as
from vlmbench.encoders.activation import activation_warning
from vlmbench.encoders.base import PRE_PROJ, PROJ, Scale
from vlmbench.encoders.device import resolve_device, resolve_precision
from vlmbench.encoders.families import DUAL, TEXT
from vlmbench.encoders.files import ModelFiles
from vlmbench.encoders.resolve import resolve
from vlmbench.features.encode import EncodeJob, Tally, encode_split, read_layer
from vlmbench.features.store import ROWS, FeatureEntry, FeatureKey
from vlmbench.foundations.errors import UsageError
from vlmbench.foundations.text import visible
from vlmbench.heads.prompts import PromptSet
from vlmbench.heads.zeroshot import ZeroShotWeights
from vlmbench.records.result import DatasetFacts
from vlmbench.session import asif
from vlmbench.session import texts as text_side
from vlmbench.session.context import Context, package_versions
from vlmbench.session.features import OpenModel, OpenSplit, Part, SplitFeatures, open_split, refuse_skipped, unreadable

__all__ = ["ENCODING_PACKAGES", "OpenModel", "Session", "SplitFeatures"]

ENCODING_PACKAGES = ("torch", "transformers", "pillow")


class Session:
    """Models and datasets of one command, each opened once.

    Attributes:
        context: the common options.
        tallies: what each pass over images did, for ``run.json``.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.tallies: list[Tally] = []
        self._models: dict[str, OpenModel] = {}
        self._datasets: dict[DatasetRef, Dataset] = {}
        self._splits: dict[tuple[DatasetRef, str, int | None, Part | None], OpenSplit] = {}
        self._encoded: dict[tuple[str, str], int] = {}
        self._told: set[str] = set()

    @cached_property
    def device(self) -> str:
        """cpu, cuda or mps."""
        return resolve_device(self.context.device)

    @cached_property
    def precision(self) -> str:
        """fp32, bf16 or fp16."""
        return resolve_precision(self.context.precision, self.device)

    def model(self, name: str) -> OpenModel:
        """The model called `name`; see `encoders.resolve.resolve` for what can be wrong with it."""
        if name not in self._models and name.startswith(asif.PREFIX):
            coupled = self._coupled(name)
            self._models[name] = OpenModel(coupled.files(), coupled.image_encoder)
        if name not in self._models:
            if name in CAPTIONERS:
                raise UsageError(f"{name} is a captioner", where=name, fix=f"vlmbench caption -m {name}")
            files = resolve(name, self.context.cache_dir, trusted=self.context.trust_remote_code)
            if files.own_code:
                self.context.reporter.warn(f"{name}: the Python code that came with it is run, as you asked")
            reason = activation_warning(files.source, files.config)
            if reason is not None:
                self.context.reporter.warn(f"{name}: {reason}; a wrong activation lowers every score silently")
            self._models[name] = OpenModel(files, lambda: self._load(files))
        return self._models[name]

    def dataset(self, name: DatasetName) -> Dataset:
        """The dataset called `name`; see `data.open.open_dataset` for what can be wrong with it."""
        ref = DatasetRef.parse(name)
        if ref not in self._datasets:
            opened = (
                open_dataset(ref, self.context.cache_dir, self.context.reporter)
                if ref.view is None
                else seen_as(self.dataset(ref.whole), ref.view)
            )
            for note in opened.info.notes:
                self.context.reporter.warn(f"{ref}: {note}")
            self._datasets[ref] = opened
        return self._datasets[ref]

    def adopt(self, name: DatasetName, dataset: Dataset) -> None:
        """Takes a dataset that is open already, under a name that no other dataset has."""
        self._datasets.setdefault(DatasetRef.parse(name), dataset)

    def in_tiles(self, dataset: DatasetName, tiles: int) -> DatasetRef:
        """A dataset's images looked at whole and in so many tiles.

        Raises:
            UsageError: its items are views already.
        """
        if self.dataset(dataset).info.views is not None:
            raise UsageError("boxes are not cut into tiles", where="--tiles", fix="leave --tiles out")
        return replace(DatasetRef.parse(dataset), view=Tiles(tiles))

    def only(self, dataset: DatasetName, split: str, ids: Collection[str]) -> DatasetRef:
        """A dataset of whose split no images but these are looked at; itself where it has no others."""
        ref, ids, whole = DatasetRef.parse(dataset), set(ids), self.dataset(dataset).split(split)
        rows = tuple(row for row, id in enumerate(whole.ids) if id in ids)
        return ref if len(rows) == len(whole) else replace(ref, view=Chosen(split, rows))

    def skipping_damaged(self) -> Self:
        """The same session, with the same models and datasets open, but for what it does with a damaged image."""
        other = copy(self)
        other.context = replace(self.context, on_bad_image="skip")
        return other

    def choose_split(self, dataset: DatasetName, asked: str | None) -> str:
        """The split to evaluate on; see `data.base.choose_split`."""
        return choose_split(self.dataset(dataset).info, asked)

    def prepare(
        self,
        models: Sequence[str],
        dataset: DatasetName,
        split: str,
        *,
        limit: int | None = None,
        part: Part | None = None,
    ) -> None:
        """Encodes what the store lacks of the split, for all `models` in one pass over the images."""
        opened = self._open(dataset, split, limit, part)
        jobs = {}
        for name in (self._coupled(name).spec.vision if name.startswith(asif.PREFIX) else name for name in models):
            entry = self._entry(name, opened)
            if entry.key.name not in jobs and entry.manifest() is None:
                model = self.model(name)
                jobs[entry.key.name] = EncodeJob(name, entry, model.get)
        if not jobs:
            return
        self._encode(opened, list(jobs.values()))

    def features(
        self,
        model: str,
        dataset: DatasetName,
        split: str,
        *,
        layer: str = PROJ,
        limit: int | None = None,
        part: Part | None = None,
        sparse: bool = False,
    ) -> SplitFeatures:
        """The features of a split; encoded now where the store lacks them.

        Args:
            model: as the user names it.
            dataset: as the user names it.
            split: one of the dataset's splits.
            layer: ``proj`` (the shared space) or ``pre_proj`` (pooled features before the projection).
            limit: so many images, drawn with the context's seed; none: all.
            part: the i-th of n equal runs of the images, counted from 1; none: all.
            sparse: whether x may be a `scipy.sparse.csr_array`: ASIF's over many anchors.

        Raises:
            UsageError: the model has no such layer.
            InputError: an image is damaged and ``on_bad_image`` is ``error``, or the split has no images.
        """
        files = self.model(model).files
        if model.startswith(asif.PREFIX) and layer == PROJ:
            return self._coupled(model).features(dataset, split, limit, part, sparse=sparse)
        if layer not in files.family.layers:
            raise UsageError(
                f"{visible(model)} ({files.family.name}) has no layer {layer}, only {', '.join(files.family.layers)}",
                where=model,
                fix=f"--features-layer {PRE_PROJ}" if layer == PROJ else f"--features-layer {files.family.layers[0]}",
            )
        opened = self._open(dataset, split, limit, part)
        self.prepare([model], dataset, split, limit=limit, part=part)
        entry = self._entry(model, opened)
        rows, x, versions = self._read(entry, model, opened, files.family.stored_as(layer))
        encoded = self._encoded.pop((model, entry.key.name), 0)
        if encoded or entry.key.name not in self._told:
            self._told.add(entry.key.name)
            self.context.reporter.note(
                f"features: {encoded:,} {opened.things} encoded, {len(rows) - encoded:,} from the store "
                f"({model}, {dataset}, {split})"
            )
        items, x = opened.fold(rows, x)
        return SplitFeatures(
            x=x,
            y=opened.split.labels[items],
            ids=tuple(opened.split.ids[item] for item in items),
            classnames=opened.info.classnames,
            metric=opened.info.metric,
            multilabel=opened.info.multilabel,
            dataset=DatasetFacts(
                id=opened.name,
                revision=opened.info.revision,
                fingerprint=opened.fingerprint,
                split=opened.split.name,
                skipped=refuse_skipped(items, opened, self.context),
            ),
            model=self.model(model).facts,
            protocol={
                "layer": layer,
                "precision": self.precision,
                "preprocessing_sha256": files.preprocessing_sha256,
                **({"limit": limit} if limit is not None else {}),
                **opened.protocol,
            },
            versions=versions,
            encoded=encoded,
            available_splits=opened.info.splits,
            captions=tuple(opened.split.captions[item] for item in items) if opened.split.captions else (),
            group=opened.info.group,
            views=opened.kept,
            stored=len(rows) - encoded,
        )

    def text_weights(
        self, model: str, classnames: Sequence[Sequence[str]], prompts: PromptSet, raw: Sequence[str] = ()
    ) -> ZeroShotWeights:
        """A zero-shot classifier from prompts; from the store where it has been made before.

        Args:
            model: as the user names it; a dual encoder.
            classnames: [C] name and synonyms of each class.
            prompts: the prompt set.
            raw: [C] names as the dataset spells them, for class-specific prompt files.

        Raises:
            UsageError: the model has no text side.
        """
        return text_side.text_weights(self, model, classnames, prompts, raw)

    def throughput(self, features: SplitFeatures) -> dict[str, Any]:
        """What ``run.json`` says of the work behind `features`: device, images encoded, images per second."""
        seconds = sum(tally.seconds for tally in self.tallies)
        decoded = sum(tally.decoded for tally in self.tallies)
        return {
            "device": self.device,
            "images_encoded": features.encoded,
            "images_from_store": features.stored,
            "session_images_decoded": decoded,
            "session_images_per_second": round(decoded / seconds, 1) if seconds else None,
        }

    def text_embeddings(self, model: str, texts: Sequence[str]) -> tuple[Any, Scale]:
        """Un-normalised embeddings [T, D] float32 of texts, and the model's scale; stored like all else.

        Those of an ASIF model are made from its text encoder's, and sparse where its anchors are many.

        Raises:
            UsageError: the model has no text side.
        """
        if model.startswith(asif.PREFIX):
            return self._coupled(model).text_embeddings(texts)
        return text_side.text_embeddings(self, model, texts)

    def _coupled(self, name: str) -> "asif.Asif":
        return asif.Asif(self, name, asif.parse(name))

    def fingerprint(self, dataset: DatasetName, split: str) -> str:
        """The fingerprint of a whole split."""
        return self._open(dataset, split, None).fingerprint

    def split(self, dataset: DatasetName, split: str, limit: int | None) -> Split:
        """The split whose features `features` gives, with its images."""
        return self._open(dataset, split, limit).split

    def require_texts(self, model: str, *, alone: bool = False) -> OpenModel:
        """The model called `model`, a dual encoder; with `alone`, a plain text encoder is as good.

        Raises:
            UsageError: it has no text side.
        """
        opened = self.model(model)
        if opened.files.family.kind not in ({DUAL, TEXT} if alone else {DUAL}):
            raise UsageError(
                f"{visible(model)} ({opened.files.family.name}) cannot hold images against texts",
                where=model,
                fix="vlmbench linear-probe, or a dual encoder such as CLIP",
            )
        return opened

    def _load(self, files: ModelFiles) -> Any:
        from vlmbench.records.registry import Registry

        adapter = Registry("architecture", {files.family.name: files.family.adapter}).load(files.family.name)
        with self.context.reporter.task(f"loading {files.id}", None):
            return adapter(files, self.device, self.precision, self.context.reporter)

    def _open(self, dataset: DatasetName, split: str, limit: int | None, part: Part | None = None) -> OpenSplit:
        ref = DatasetRef.parse(dataset)
        key = (ref, split, limit, part)
        if key not in self._splits:
            self._splits[key] = open_split(self.dataset(ref), ref.id, split, limit, part, self.context)
        return self._splits[key]

    def _entry(self, model: str, opened: OpenSplit) -> FeatureEntry:
        files = self.model(model).files
        key = FeatureKey(
            files.weights_sha256, files.preprocessing_sha256, self.precision, opened.content, opened.split.name
        )
        return FeatureEntry(self.context.cache_dir, key, len(opened.rows), package_versions(*ENCODING_PACKAGES))

    def _encode(self, opened: OpenSplit, jobs: list[EncodeJob]) -> None:
        context = self.context
        with ExitStack() as locks:
            for job in sorted(
                jobs, key=lambda job: job.entry.key.name
            ):  # one order for every run, so that none waits in a ring
                locks.enter_context(job.entry.writing())
            try:
                tally = encode_split(
                    opened.rows,
                    jobs,
                    batch_size=context.batch_size,
                    workers=context.workers,
                    on_bad_image=context.on_bad_image,
                    reporter=context.reporter,
                    rows=ROWS,
                )
            except BadImage as error:
                raise BadImage(error.what, where=f"{opened.name}, {error.where}", fix=error.fix) from error
        self.tallies.append(tally)
        for job in jobs:
            self._encoded[(job.name, job.entry.key.name)] = tally.encoded[job.name]

    def _read(
        self, entry: FeatureEntry, model: str, opened: OpenSplit, layer: str
    ) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
        for attempt in range(2):
            manifest = entry.manifest()
            found = read_layer(entry, manifest, layer) if manifest is not None else None
            if manifest is not None and found is not None:
                return (*found, manifest.versions)
            if attempt == 0:
                self.context.reporter.warn(
                    f"stored features of {opened.info.id} by {model} are damaged; they are encoded again"
                )
                entry.reopen()
                self._encode(opened, [EncodeJob(model, entry, self.model(model).get)])
        raise unreadable(entry)
