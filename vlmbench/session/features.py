"""Features by models with weights of their own: from the store, or encoded in one pass for all that lack them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from vlmbench.data.base import DatasetInfo, Split, subset
from vlmbench.data.corrupted import clean
from vlmbench.data.corruptions.kinds import Corruption
from vlmbench.data.images import BadImage
from vlmbench.data.names import DatasetRef
from vlmbench.data.regions import MEAN
from vlmbench.encoders.base import PRE_PROJ, PROJ, Scale
from vlmbench.encoders.families import DUAL, TEXT
from vlmbench.encoders.files import ModelFiles
from vlmbench.encoders.names import ModelRef
from vlmbench.features.encode import EncodeJob, EncodeOptions, Tally, encode_split, read_layer
from vlmbench.features.store import ROWS, FeatureEntry, FeatureKey
from vlmbench.features.table import Table
from vlmbench.features.texts import TextStore
from vlmbench.features.units import ALL, Share, in_units, merged, part_of, unit_of
from vlmbench.foundations.cpu import cores
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.launch import local_count
from vlmbench.foundations.text import visible
from vlmbench.foundations.versions import encoding_versions
from vlmbench.records.result import DatasetFacts, ModelFacts
from vlmbench.session.context import Context
from vlmbench.session.images import Images, OpenSplit, Selection
from vlmbench.session.models import Models, OpenModel
from vlmbench.session.pool import Encoding, Work

TOGETHER = 16
"""Features of so many models and corruptions are encoded in one pass, which decodes each image once."""


@dataclass(frozen=True)
class SplitFeatures:
    """The features of a split by a model.

    Attributes:
        x: a `Table` [N, D] float32, un-normalised; damaged images that were skipped have no row. Where the best of V
            views counts, [N * V, D], the views of an image one after the other; of several crops of a box, their mean.
            A `scipy.sparse.csr_array` where that is allowed and the model is ASIF over many anchors.
        items: the N images.
        info: what is known of their dataset.
        dataset: the dataset's part of a record.
        model: the model's part of a record.
        protocol: what else decides the features: layer, precision, preprocessing, limit.
        versions: the packages that encoded them.
        encoded: images (or views of them) encoded now.
        stored: those that came from the store.
    """

    x: Any
    items: Split
    info: DatasetInfo
    dataset: DatasetFacts
    model: ModelFacts
    protocol: dict[str, Any]
    versions: dict[str, str]
    encoded: int
    stored: int

    @property
    def y(self) -> np.ndarray:
        """[N] int64 class indices, or [N, C] uint8 for multi-label sets."""
        return self.items.labels

    @property
    def ids(self) -> tuple[str, ...]:
        """[N] image ids."""
        return self.items.ids

    @property
    def views(self) -> int:
        """V, rows of `x` an image."""
        views = self.info.views
        return 1 if views is None or views.combine == MEAN else views.count

    def take(self, rows: np.ndarray) -> Self:
        """The features of the images at `rows` ([M] int64)."""
        wide = (np.asarray(rows, np.int64)[:, None] * self.views + np.arange(self.views)).ravel()
        return replace(self, x=self.x[wide], items=subset(self.items, rows))


@dataclass(frozen=True)
class Wanted:
    """Features that the store lacks: of a split that is open, by a model."""

    model: ModelRef
    opened: OpenSplit
    entry: FeatureEntry

    @property
    def corruption(self) -> Corruption | None:
        """What is done to the images."""
        return clean(self.opened.rows)[1]

    @property
    def name(self) -> str:
        """What a pass calls it."""
        return str(self.model) + (f" ({self.corruption})" if self.corruption else "")


@dataclass
class Features:
    """Gives features of images and embeddings of texts, and keeps account of what was encoded for it.

    Attributes:
        context: the common options.
        models: the models.
        images: the datasets.
        tallies: what each pass over images did.
    """

    context: Context
    models: Models
    images: Images
    tallies: list[Tally] = field(default_factory=list)
    _encoded: dict[tuple[ModelRef, str], int] = field(default_factory=dict)
    _reported: set[str] = field(default_factory=set)
    _expected: dict[Selection, list[ModelRef]] = field(default_factory=dict)

    def skipping_damaged(self) -> Self:
        """The same, with the same account, but for what it does with a damaged image."""
        return replace(self, context=replace(self.context, on_bad_image="skip"))

    def expect(self, models: Sequence[ModelRef], selection: Selection) -> None:
        """Has the next pass over these images encode them for `models` too."""
        self._expected.setdefault(selection, []).extend(models)

    def prepare(self, models: Sequence[ModelRef], selection: Selection) -> None:
        """Encodes what the store lacks of the images, for all `models` in one pass over them."""
        jobs: dict[str, Wanted] = {}
        for images in self._together(selection):
            opened = self.images.open(images)
            for model in dict.fromkeys([*(models if images == selection else []), *self._expected.pop(images, [])]):
                entry = self.entry(model, opened)
                if entry.key.name not in jobs and entry.manifest() is None:
                    jobs[entry.key.name] = Wanted(model, opened, entry)
        found = list(jobs.values())
        for start in range(0, len(found), TOGETHER):
            self._encode(found[start : start + TOGETHER], self._part(found[start].opened, selection))

    def _together(self, selection: Selection) -> list[Selection]:
        """A selection, and those expected of the same images, corrupted otherwise or not at all."""

        def decoded(one: Selection) -> Selection:
            return replace(one, dataset=DatasetRef.parse(one.dataset).clean)

        others = [one for one in self._expected if one != selection and decoded(one) == decoded(selection)]
        return [selection, *others] if self.images.open(selection).info.views is None else [selection]

    def prepare_expected(self) -> None:
        """Encodes what the store lacks of all that is expected: by the pool, where there is one, all of it at once."""
        if self.context.pool is not None:
            self._hand_out()
        for selection in list(self._expected):
            if selection in self._expected:
                self.prepare([], selection)

    def encode_part(
        self, models: Sequence[ModelRef], selection: Selection, parts: Sequence[range]
    ) -> dict[tuple[ModelRef, str], int]:
        """Encodes what the store lacks of parts of a split, and leaves the entries unfinished.

        Returns:
            How many images each model encoded, by its name and that of its entry.
        """
        opened = self.images.open(selection)
        wanted = [Wanted(model, opened, self.entry(model, opened)) for model in models]
        names, counts = [(one.model, one.entry.key.name) for one in wanted], Counter[tuple[ModelRef, str]]()
        for part in merged(parts):
            self._encode(wanted, part)
            counts.update({name: self._encoded.pop(name, 0) for name in names})
        return dict(counts)

    def _hand_out(self) -> None:
        """Has the pool encode what the store lacks of all that is expected."""
        work = []
        for selection, models in self._expected.items():
            opened = self.images.open(selection)
            entries = {model: self.entry(model, opened) for model in models}
            entries = {model: entry for model, entry in entries.items() if entry.manifest() is None}
            gaps = merged([gap for entry in entries.values() for gap, found in entry.shards() if found is None])
            if gaps:
                job = Encoding(selection, tuple(entries), tuple(entry.key for entry in entries.values()))
                work.append(Work(job, in_units(gaps, len(opened.rows), self._unit(opened))))
        if work and self.context.pool is not None:
            for counts in self.context.pool.run(self.context, work):
                for name, count in counts.items():
                    self._encoded[name] = self._encoded.get(name, 0) + count

    def complete(self, model: ModelRef, selection: Selection) -> bool:
        """Whether all features of the split of a selection are in the store, of which it may be a part."""
        return self.entry(model, self.images.open(selection)).complete

    def read(self, model: ModelRef, selection: Selection, layer: str) -> SplitFeatures:
        """The features of images; encoded now where the store lacks them.

        Raises:
            UsageError: the model has no such layer.
            InputError: an image is damaged and ``on_bad_image`` is ``error``, or the split has no images.
        """
        found = self.models.open(model)
        files = require_layer(found.files, layer)
        opened = self.images.open(selection)
        self.prepare([model], selection)
        entry = self.entry(model, opened)
        part = self._part(opened, selection)
        rows, x = self._read(entry, model, opened, files.family.stored_as(layer), part)
        encoded = min(self._encoded.pop((model, entry.key.name), 0), len(rows))
        if encoded or entry.key.name not in self._reported:
            self._reported.add(entry.key.name)
            self.context.reporter.note(
                f"features: {encoded:,} {opened.things} encoded, {len(rows) - encoded:,} from the store "
                f"({model}, {selection.dataset}, {selection.split})"
            )
        items, x = opened.fold(rows, x)
        return SplitFeatures(
            x=x,
            items=opened.split if len(items) == len(opened.split) else subset(opened.split, items),
            info=opened.info,
            dataset=DatasetFacts(
                id=opened.name,
                revision=opened.info.revision,
                fingerprint=opened.fingerprint,
                split=opened.split.name,
                skipped=self.refuse_skipped(items, opened, part),
            ),
            model=found.facts,
            protocol={
                "layer": layer,
                "precision": self.models.precision,
                **({"engine": self.models.engine} if self.models.engine else {}),
                "preprocessing_sha256": files.preprocessing_sha256,
                **({"limit": selection.limit} if selection.limit is not None else {}),
                **opened.protocol,
            },
            versions=dict(entry.key.versions),
            encoded=encoded,
            stored=len(rows) - encoded,
        )

    def entry(self, model: ModelRef, opened: OpenSplit) -> FeatureEntry:
        """Where the features of a split by a model are stored."""
        files, cache_dir = self.models.open(model).files, self.context.cache_dir
        hashes = (files.weights_sha256, files.preprocessing_sha256)
        engine = self.models.engine
        packages = encoding_versions(engine)
        key = FeatureKey(*hashes, self.models.precision, opened.content, opened.split.name, packages, engine=engine)
        return FeatureEntry(cache_dir, key, len(opened.rows), self.context.shared)

    def _part(self, opened: OpenSplit, selection: Selection) -> range | None:
        """The rows of a split that are a part of it; none: all."""
        if selection.part is None:
            return None
        number, count = selection.part
        return part_of(len(opened.rows), self._unit(opened), number - 1, count)

    def _unit(self, opened: OpenSplit) -> int:
        return unit_of(len(opened.rows), self.context.batch_size, len(opened.rows) // len(opened.split))

    def refuse_skipped(self, items: np.ndarray, opened: OpenSplit, part: range | None = None) -> tuple[str, ...]:
        """Features that lack damaged images serve a run that skips them, with a warning, and no other.

        Args:
            items: [m] int64: the items that have features.
            opened: the split.
            part: those of its rows that should; none: all.

        Returns:
            The ids of those that lack.

        Raises:
            BadImage: images were skipped and ``on_bad_image`` is ``error``.
        """
        there, views = np.zeros(len(opened.split), bool), len(opened.rows) // len(opened.split)
        if part is not None:
            there[: part.start // views] = there[part.stop // views :] = True
        there[items] = True
        skipped = tuple(opened.split.ids[item] for item in np.flatnonzero(~there))
        if not skipped:
            return ()
        damaged, first = f"damaged image{'s' * (len(skipped) > 1)}", visible(skipped[0])
        if opened.split.regions is not None:
            damaged, first = f"{'box' if len(skipped) == 1 else 'boxes'} in damaged images", f"annotation {first}"
        if self.context.on_bad_image != "skip":
            raise BadImage(
                f"{len(skipped)} {damaged} cannot be decoded, the first is {first}",
                where=skipped[0],
                fix="fix or remove the images, or --on-bad-image skip",
            )
        alone = len(skipped) == 1
        left_out = f"was left out: {first}" if alone else f"were left out, the first is {first}"
        self.context.reporter.warn(f"{len(skipped)} {damaged} of {opened.info.id} {left_out}")
        return skipped

    def texts(self, model: ModelRef, texts: Sequence[str]) -> tuple[np.ndarray, Scale]:
        """Un-normalised embeddings [T, D] float32 of texts, and the model's scale; from the store where they are there.

        Raises:
            UsageError: the model has no text side.
        """
        found = require_texts(self.models.open(model), alone=True)
        context, models = self.context, self.models
        store = TextStore(context.cache_dir, found.files, models.precision, models.engine, context.shared)
        with self.context.reporter.task(f"texts of {model}", len(set(texts))) as advance:
            return store.embeddings(texts, found.get, advance)

    def _encode(self, wanted: Sequence[Wanted], part: range | None = None) -> None:
        context, launch, opened = self.context, self.context.launch, wanted[0].opened
        rows = clean(opened.rows)[0]
        jobs = [EncodeJob(one.name, one.entry, self.models.open(one.model).get, one.corruption) for one in wanted]
        device, workers = self.models.device, context.threads
        if device.startswith("cuda") and context.workers is None and opened.info.views is None:
            workers = max(1, cores() // local_count())
        options = EncodeOptions(
            context.batch_size,
            workers,
            context.on_bad_image,
            context.reporter,
            ROWS,
            device=device,
            unit=self._unit(opened),
            share=Share(launch.number, launch.count) if launch is not None else ALL,
            only=part,
        )
        try:
            tally = encode_split(rows, jobs, options)
        except BadImage as error:
            raise BadImage(error.what, where=f"{opened.name}, {error.where}", fix=error.fix) from error
        self.tallies.append(tally)
        for one in wanted:
            name = (one.model, one.entry.key.name)
            self._encoded[name] = self._encoded.get(name, 0) + tally.encoded[one.name]

    def _read(
        self, entry: FeatureEntry, model: ModelRef, opened: OpenSplit, layer: str, part: range | None
    ) -> tuple[np.ndarray, Table]:
        for attempt in range(2):
            found = read_layer(entry, layer, part)
            if found is not None:
                return found
            if attempt == 0:
                self.context.reporter.warn(
                    f"stored features of {opened.info.id} by {model} are damaged and will be encoded again"
                )
                entry.reopen()
                self._encode([Wanted(model, opened, entry)], part)
        raise unreadable(entry)


def require_texts(model: OpenModel, *, alone: bool = False) -> OpenModel:
    """The model, a dual encoder; with `alone`, a plain text encoder is as good.

    Raises:
        UsageError: it has no text side.
    """
    family = model.files.family
    if family.kind not in ({DUAL, TEXT} if alone else {DUAL}):
        raise UsageError(
            f"{visible(model.files.id)} ({family.name}) cannot compare images with texts",
            where=model.files.id,
            fix="vlmbench linear-probe, or a dual encoder such as CLIP",
        )
    return model


def require_layer(files: ModelFiles, layer: str) -> ModelFiles:
    """The model, which gives `layer`.

    Raises:
        UsageError: it does not.
    """
    family = files.family
    if layer not in family.layers:
        raise UsageError(
            f"{visible(files.id)} ({family.name}) has no layer {layer}, only {', '.join(family.layers)}",
            where=files.id,
            fix=f"--features-layer {PRE_PROJ}" if layer == PROJ else f"--features-layer {family.layers[0]}",
        )
    return files


def unreadable(entry: FeatureEntry) -> InputError:
    """The error for features that were encoded again, since they were damaged, and are damaged still."""
    return InputError(
        "features were written and cannot be read back",
        where=str(entry.directory),
        fix="check the disk, or choose another --cache-dir",
    )
