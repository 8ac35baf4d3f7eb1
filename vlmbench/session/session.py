"""A session: every model is loaded once, every image decoded once, whatever the runs that share them.

It puts together what opens models (`models`), what opens datasets (`images`) and what encodes the ones with the others
(`features`), and knows which models are two encoders in one (`asif`).
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from itertools import chain
from typing import Any, Self

from pydantic import JsonValue

from vlmbench.data.base import Dataset
from vlmbench.data.names import DatasetName
from vlmbench.data.reduced import TEXT as REDUCED_TEXT
from vlmbench.encoders.base import PROJ, Scale
from vlmbench.encoders.names import AsifRef, ModelRef, parse_model
from vlmbench.features.encode import STAGES
from vlmbench.features.store import FeatureKey
from vlmbench.features.texts import WEIGHTS, TextStore
from vlmbench.foundations.hashing import digest
from vlmbench.heads.prompts import PromptSet
from vlmbench.heads.zeroshot import ZeroShotWeights, class_weights
from vlmbench.session.asif import Asif
from vlmbench.session.context import REDUCED, Context
from vlmbench.session.features import Features, SplitFeatures, require_texts
from vlmbench.session.images import Images, Selection
from vlmbench.session.models import Models, OpenModel


class Session:
    """Models and datasets of one command, each opened once.

    Attributes:
        context: the common options.
        images: the datasets and their splits.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.images = Images(context)
        self._models = Models(context)
        self._features = Features(context, self._models, self.images)
        self._coupled: dict[AsifRef, OpenModel] = {}

    @property
    def device(self) -> str:
        """cpu, cuda or mps."""
        return self._models.device

    @property
    def precision(self) -> str:
        """fp32, bf16 or fp16."""
        return self._models.precision

    @property
    def engine(self) -> str | None:
        """What runs the encoders; none: torch."""
        return self._models.engine

    @property
    def decoding(self) -> dict[str, str]:
        """What a record says of how images are decoded: nothing, or that it is at reduced scale."""
        return {"decode": REDUCED_TEXT} if self.context.decode == REDUCED else {}

    def skipping_damaged(self) -> Self:
        """The same session, with the same models and datasets open, but for what it does with a damaged image."""
        other = copy(self)
        other.context = replace(self.context, on_bad_image="skip")
        other._features = self._features.skipping_damaged()
        return other

    def model(self, name: str) -> OpenModel:
        """The model called `name`; see `encoders.models.find_model` for what can be wrong with it."""
        ref = parse_model(name)
        if not isinstance(ref, AsifRef):
            return self._models.open(ref)
        if ref not in self._coupled:
            self._coupled[ref] = Asif(self._features, ref).model
        return self._coupled[ref]

    def require_texts(self, model: str) -> OpenModel:
        """The model called `model`, a dual encoder.

        Raises:
            UsageError: it has no text side.
        """
        return require_texts(self.model(model))

    def dataset(self, name: DatasetName) -> Dataset:
        """The dataset called `name`; see `data.open.open_dataset` for what can be wrong with it."""
        return self.images.dataset(name)

    def choose_split(self, dataset: DatasetName, name: str | None) -> str:
        """The split to evaluate on; see `data.base.choose_split`."""
        return self.images.choose_split(dataset, name)

    def expect(self, models: Sequence[str], selection: Selection) -> None:
        """Has the next pass over these images encode them for `models` too, which a later run will ask for; of an ASIF
        model its anchors too."""
        self._features.expect([self._encoder(name) for name in models], selection)
        for name in models:
            if isinstance(ref := parse_model(name), AsifRef):
                asif = Asif(self._features, ref)
                self._features.expect([asif.vision], asif.selection)

    def prepare(self, models: Sequence[str], selection: Selection) -> None:
        """Encodes what the store lacks of the images, for all `models` in one pass over them."""
        self._features.prepare([self._encoder(name) for name in models], selection)

    def prepare_expected(self) -> None:
        """Encodes what the store lacks of all that is expected."""
        self._features.prepare_expected()

    def keys(self, models: Sequence[ModelRef], selection: Selection) -> list[FeatureKey]:
        """Those of the features of models with image features of their own."""
        opened = self.images.open(selection)
        return [self._features.entry(model, opened).key for model in models]

    def encode_part(
        self, models: Sequence[ModelRef], selection: Selection, parts: Sequence[range]
    ) -> dict[tuple[ModelRef, str], int]:
        """Encodes what the store lacks of parts of a split; see `Features.encode_part`."""
        return self._features.encode_part(models, selection, parts)

    def complete(self, model: str, selection: Selection) -> bool:
        """Whether all features of the split of a selection are in the store, of which it may be a part."""
        return self._features.complete(self._encoder(model), selection)

    def features(self, model: str, selection: Selection, *, layer: str = PROJ, sparse: bool = False) -> SplitFeatures:
        """The features of images; encoded now where the store lacks them.

        Args:
            model: as the user names it.
            selection: which images.
            layer: ``proj`` (the shared space) or ``pre_proj`` (pooled features before the projection).
            sparse: whether x may be a `scipy.sparse.csr_array`: ASIF's over many anchors.

        Raises:
            UsageError: the model has no such layer.
            InputError: an image is damaged and ``on_bad_image`` is ``error``, or the split has no images.
        """
        ref = parse_model(model)
        if isinstance(ref, AsifRef):
            return Asif(self._features, ref).read(selection, layer, sparse=sparse)
        return self._features.read(ref, selection, layer)

    def text_embeddings(self, model: str, texts: Sequence[str]) -> tuple[Any, Scale]:
        """Un-normalised embeddings [T, D] float32 of texts, and the model's scale; stored like all else.

        Those of an ASIF model are made from its text encoder's, and sparse where its anchors are many.

        Raises:
            UsageError: the model has no text side.
        """
        ref = parse_model(model)
        return Asif(self._features, ref).texts(texts) if isinstance(ref, AsifRef) else self._features.texts(ref, texts)

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
        files = self.require_texts(model).files
        texts = [prompts.prompts(names, raw[i] if raw else None) for i, names in enumerate(classnames)]
        prompts_sha = digest([list(item) for item in texts])

        def make() -> tuple[Any, Scale]:
            place = {text: row for row, text in enumerate(dict.fromkeys(chain.from_iterable(texts)))}
            embedded, scale = self.text_embeddings(model, list(place))
            rows = [place[text] for item in texts for text in item]
            return class_weights(embedded[rows], [len(item) for item in texts]), scale

        context = self.context
        store = TextStore(context.cache_dir, files, self.precision, self.engine, context.shared)
        weights, scale = store.get(WEIGHTS, prompts_sha, make)
        return ZeroShotWeights(
            weights=weights,
            logit_scale=scale.scale,
            logit_bias=scale.bias,
            templates=prompts.templates or texts[0],
            classnames=tuple(names[0] for names in classnames),
            sha256=prompts_sha,
        )

    def throughput(self, features: SplitFeatures) -> dict[str, JsonValue]:
        """What ``run.json`` says of the work behind `features`: device, images encoded, images per second, and the
        seconds of each stage (`features.encode.STAGES`) of the session's passes.
        """
        tallies = self._features.tallies
        seconds, decoded = sum(tally.seconds for tally in tallies), sum(tally.decoded for tally in tallies)
        return {
            "device": self.device,
            **({"engine": self.engine} if self.engine else {}),
            "images_encoded": features.encoded,
            "images_from_store": features.stored,
            "session_images_decoded": decoded,
            "session_images_per_second": round(decoded / seconds, 1) if seconds else None,
            "session_stages": {name: round(sum(tally.stages[name] for tally in tallies), 3) for name in STAGES},
        }

    def _encoder(self, name: str) -> ModelRef:
        """The model whose image features are stored for the one called `name`."""
        ref = parse_model(name)
        return Asif(self._features, ref).vision if isinstance(ref, AsifRef) else ref
