"""A session: every model is loaded once, every image decoded once, whatever the runs that share them.

Zero-shot, probe and few-shot all ask a session for features and get them from the store; what the store lacks is
encoded in one pass over the images for all the models that lack it.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import Any, cast

import numpy as np

from vlmbench.data.base import Dataset, Split, choose_split, subset
from vlmbench.data.fingerprint import fingerprint
from vlmbench.data.registry import open_dataset
from vlmbench.encoders.activation import doubt
from vlmbench.encoders.base import PRE_PROJ, PROJ, DualEncoder, Scale
from vlmbench.encoders.device import resolve_device, resolve_precision
from vlmbench.encoders.families import DUAL, TEXT
from vlmbench.encoders.files import ModelFiles
from vlmbench.encoders.resolve import resolve
from vlmbench.features.encode import Job, Tally, encode_split, read_layer
from vlmbench.features.store import ROWS, FeatureEntry, FeatureKey
from vlmbench.features.texts import read_texts, write_texts
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.seeds import derive_seed
from vlmbench.foundations.text import visible
from vlmbench.heads.prompts import PromptSet
from vlmbench.heads.zeroshot import ZeroShotWeights, class_weights
from vlmbench.records.result import DatasetFacts
from vlmbench.runs import asif
from vlmbench.runs.context import Context, package_versions
from vlmbench.runs.opened import Opened, OpenModel, SplitFeatures, refuse_skipped

__all__ = ["ENCODING_PACKAGES", "OpenModel", "Session", "SplitFeatures"]

Part = tuple[int, int]
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
        self._datasets: dict[str, Dataset] = {}
        self._splits: dict[tuple[str, str, int | None, Part | None], Opened] = {}
        self._encoded: dict[tuple[str, str], int] = {}

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
            files = self._coupled(name).files()
            self._models[name] = OpenModel(files, lambda: self._load(files))
        if name not in self._models:
            files = resolve(name, self.context.cache_dir)
            reason = doubt(files.source, files.config)
            if reason is not None:
                self.context.reporter.warn(f"{name}: {reason}; a wrong activation lowers every score silently")
            self._models[name] = OpenModel(files, lambda: self._load(files))
        return self._models[name]

    def dataset(self, name: str) -> Dataset:
        """The dataset called `name`; see `data.registry.open_dataset` for what can be wrong with it."""
        if name not in self._datasets:
            opened = open_dataset(name, self.context.cache_dir)
            for note in opened.info.notes:
                self.context.reporter.warn(f"{name}: {note}")
            self._datasets[name] = opened
        return self._datasets[name]

    def choose_split(self, dataset: str, asked: str | None) -> str:
        """The split to evaluate on; see `data.base.choose_split`."""
        return choose_split(self.dataset(dataset).info, asked)

    def prepare(
        self, models: Sequence[str], dataset: str, split: str, *, limit: int | None = None, part: Part | None = None
    ) -> None:
        """Encodes what the store lacks of the split, for all `models` in one pass over the images."""
        opened = self._open(dataset, split, limit, part)
        jobs = {}
        for name in (self._coupled(name).spec.vision if name.startswith(asif.PREFIX) else name for name in models):
            entry = self._entry(name, opened)
            if entry.key.name not in jobs and entry.manifest() is None:
                model = self.model(name)
                jobs[entry.key.name] = Job(name, entry, model.get)
        if not jobs:
            return
        self._encode(opened, list(jobs.values()))

    def features(
        self,
        model: str,
        dataset: str,
        split: str,
        *,
        layer: str = PROJ,
        limit: int | None = None,
        part: Part | None = None,
    ) -> SplitFeatures:
        """The features of a split; encoded now where the store lacks them.

        Args:
            model: as the user names it.
            dataset: as the user names it.
            split: one of the dataset's splits.
            layer: ``proj`` (the shared space) or ``pre_proj`` (pooled features before the projection).
            limit: so many images, drawn with the context's seed; none: all.
            part: the i-th of n equal runs of the images, counted from 1; none: all.

        Raises:
            UsageError: the model has no such layer.
            InputError: an image is damaged and ``on_bad_image`` is ``error``, or the split has no images.
        """
        files = self.model(model).files
        if model.startswith(asif.PREFIX) and layer == PROJ:
            return self._coupled(model).features(dataset, split, limit)
        if layer not in files.family.layers:
            raise UsageError(
                f"{visible(model)} ({files.family.name}) has no layer {layer}, only {', '.join(files.family.layers)}",
                where=model,
                mend=f"--features-layer {PRE_PROJ}" if layer == PROJ else f"--features-layer {files.family.layers[0]}",
            )
        opened = self._open(dataset, split, limit, part)
        self.prepare([model], dataset, split, limit=limit, part=part)
        entry = self._entry(model, opened)
        rows, x, skipped, versions = self._read(entry, model, opened, files.family.stored_as(layer))
        encoded = self._encoded.pop((model, entry.key.name), 0)
        stored = len(rows) - encoded
        self.context.reporter.note(
            f"features: {encoded:,} images encoded, {stored:,} from the store ({model}, {dataset}, {split})"
        )
        return SplitFeatures(
            x=x,
            y=opened.split.labels[rows],
            ids=tuple(opened.split.ids[row] for row in rows),
            classnames=opened.info.classnames,
            templates=opened.info.templates,
            metric=opened.info.metric,
            multilabel=opened.info.multilabel,
            dataset=DatasetFacts(
                id=dataset,
                revision=opened.info.revision,
                fingerprint=opened.fingerprint,
                split=opened.split.name,
                skipped=skipped,
            ),
            model=self.model(model).facts,
            protocol={
                "layer": layer,
                "precision": self.precision,
                "preprocessing_sha256": files.preprocessing_sha256,
                **({"limit": limit} if limit is not None else {}),
            },
            versions=versions,
            encoded=encoded,
            available_splits=opened.info.splits,
            captions=tuple(opened.split.captions[row] for row in rows) if opened.split.captions else (),
            group=opened.info.group,
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
        opened = self.require_texts(model)
        texts = [prompts.prompts(names, raw[i] if raw else None) for i, names in enumerate(classnames)]
        files = opened.files
        prompts_sha = digest([list(item) for item in texts])
        key = digest(["class-weights", *self._text_key(files), prompts_sha])
        stored = read_texts(self.context.cache_dir, key)
        if stored is None:
            flat = [text for item in texts for text in item]
            unique = list(dict.fromkeys(flat))
            embedded, scale = self._embed(model, unique)
            place = {text: i for i, text in enumerate(unique)}
            weights = class_weights(embedded[[place[text] for text in flat]], [len(item) for item in texts])
            stored = (weights, scale)
            write_texts(self.context.cache_dir, key, *stored)
        weights, scale = stored
        return ZeroShotWeights(
            weights=weights,
            logit_scale=scale.scale,
            logit_bias=scale.bias,
            templates=prompts.templates or texts[0],
            classnames=tuple(names[0] for names in classnames),
            sha256=prompts_sha,
        )

    def throughput(self, features: SplitFeatures) -> dict[str, Any]:
        """What ``run.json`` says of the work behind `features`: device, images encoded, images a second."""
        seconds = sum(tally.seconds for tally in self.tallies)
        decoded = sum(tally.decoded for tally in self.tallies)
        return {
            "device": self.device,
            "images_encoded": features.encoded,
            "images_from_store": len(features.ids) - features.encoded,
            "session_images_decoded": decoded,
            "session_images_per_second": round(decoded / seconds, 1) if seconds else None,
        }

    def text_embeddings(self, model: str, texts: Sequence[str]) -> tuple[np.ndarray, Scale]:
        """Un-normalised embeddings [T, D] float32 of texts, and the model's scale; stored like all else.

        Raises:
            UsageError: the model has no text side.
        """
        opened = self.require_texts(model, alone=True)
        if model.startswith(asif.PREFIX):
            return self._coupled(model).text_embeddings(texts)
        files = opened.files
        key = digest(["texts", *self._text_key(files), list(texts)])
        stored = read_texts(self.context.cache_dir, key)
        if stored is None:
            stored = self._embed(model, texts)
            write_texts(self.context.cache_dir, key, *stored)
        return stored

    def _embed(self, model: str, texts: Sequence[str]) -> tuple[np.ndarray, Scale]:
        if model.startswith(asif.PREFIX):
            return self._coupled(model).text_embeddings(texts)
        encoder = cast(DualEncoder, self.model(model).encoder)
        with self.context.reporter.task(f"texts of {model}", None):
            return encoder.encode_texts(texts), encoder.scale

    def _coupled(self, name: str) -> "asif.Asif":
        return asif.Asif(self, name, asif.parse(name))

    def fingerprint(self, dataset: str, split: str) -> str:
        """The fingerprint of a whole split."""
        return self._open(dataset, split, None).fingerprint

    def split(self, dataset: str, split: str, limit: int | None) -> Split:
        """The split whose features `features` gives, with its images."""
        return self._open(dataset, split, limit).split

    def _text_key(self, files: ModelFiles) -> list[str]:
        return [files.weights_sha256, files.preprocessing_sha256, files.tokenizer_sha256, self.precision]

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
                mend="vlmbench linear-probe, or a dual encoder such as CLIP",
            )
        return opened

    def _load(self, files: ModelFiles) -> Any:
        from vlmbench.records.registry import Registry

        adapter = Registry("architecture", {files.family.name: files.family.adapter}).load(files.family.name)
        with self.context.reporter.task(f"loading {files.id}", None):
            return adapter(files, self.device, self.precision, self.context.reporter)

    def _open(self, dataset: str, split: str, limit: int | None, part: Part | None = None) -> Opened:
        key = (dataset, split, limit, part)
        if key not in self._splits:
            opened = self.dataset(dataset)
            images = opened.split(split)
            if not len(images):
                raise InputError(
                    f"the split {split} of {visible(dataset)} has no images",
                    where=dataset,
                    mend="choose another with --split",
                )
            if limit is not None and limit < len(images):
                generator = np.random.default_rng(derive_seed(self.context.seed, "limit", dataset, split))
                images = subset(images, np.sort(generator.permutation(len(images))[:limit]))
            if part is not None:
                images = subset(images, np.array_split(np.arange(len(images)), part[1])[part[0] - 1])
            value = fingerprint(images, self.context.cache_dir, self.context.reporter)
            self._splits[key] = Opened(opened.info, images, value)
        return self._splits[key]

    def _entry(self, model: str, opened: Opened) -> FeatureEntry:
        files = self.model(model).files
        key = FeatureKey(
            files.weights_sha256, files.preprocessing_sha256, self.precision, opened.fingerprint, opened.split.name
        )
        return FeatureEntry(self.context.cache_dir, key, len(opened.split), package_versions(*ENCODING_PACKAGES), ROWS)

    def _encode(self, opened: Opened, jobs: list[Job]) -> None:
        context = self.context
        with ExitStack() as locks:
            for job in sorted(
                jobs, key=lambda job: job.entry.key.name
            ):  # one order for every run, so that none waits in a ring
                locks.enter_context(job.entry.writing())
            tally = encode_split(
                opened.split,
                jobs,
                batch_size=context.batch_size,
                workers=context.workers,
                on_bad_image=context.on_bad_image,
                reporter=context.reporter,
            )
        self.tallies.append(tally)
        for job in jobs:
            self._encoded[(job.name, job.entry.key.name)] = tally.encoded[job.name]

    def _read(
        self, entry: FeatureEntry, model: str, opened: Opened, layer: str
    ) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], dict[str, str]]:
        for attempt in range(2):
            manifest = entry.manifest()
            found = read_layer(entry, manifest, layer) if manifest is not None else None
            if manifest is not None and found is not None:
                refuse_skipped(manifest.skipped, opened, self.context)
                return (*found, manifest.skipped, manifest.versions)
            if attempt == 0:
                self.context.reporter.warn(
                    f"stored features of {opened.info.id} by {model} are damaged; they are encoded again"
                )
                entry.reopen()
                self._encode(opened, [Job(model, entry, self.model(model).get)])
        raise InputError(
            "features were written and cannot be read back",
            where=str(entry.directory),
            mend="check the disk, or choose another --cache-dir",
        )
