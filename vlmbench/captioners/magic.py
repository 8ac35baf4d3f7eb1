"""MAGIC: a language model guided by CLIP, without training (Su et al., Language Models Can See, 2022).

Each next token is the one, among the `K` most likely, with the highest (equation 5 of the paper)

    (1 - alpha) p(v | x) - alpha max_j cos(h_v, h_j) + beta softmax_v(CLIP(image, [x : v]))

where h are hidden states of the last layer and CLIP is the dual encoder's own scaled cosine.
"""

import inspect
import math
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self
from urllib.parse import parse_qsl

import numpy as np
import torch

from vlmbench.captioners.anchors import unit
from vlmbench.captioners.base import Captioner, Decoding, Done, Encoder, Item, Runtime, Setup, one_line
from vlmbench.captioners.batches import Batcher
from vlmbench.captioners.checkpoint import Checkpoint
from vlmbench.captioners.names import CaptionerKind, Models
from vlmbench.captioners.processors import first_line
from vlmbench.encoders.base import PROJ
from vlmbench.encoders.pretrained import DTYPES, transformers
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.text import visible
from vlmbench.metrics.classification import softmax
from vlmbench.records.result import ModelFacts

ALPHA, BETA, K = 0.1, 2.0, 45
"""The paper's choice for COCO."""
STOP = "."
_MOST = 2048
"""Number of prefixes whose continuations are cached in memory."""
_SMALL = 10_000_000
"""Number of parameters below which one thread is fastest."""
_ROWS = 512
"""Continuations per batch of the language model."""
START = "<-start_of_text->"
"""The start token of the language models published with the paper; others have their own."""


@dataclass(frozen=True)
class Step:
    """A language model's lookahead from a text of T tokens.

    Attributes:
        tokens: [K] the most likely next tokens, most likely first.
        p: [K] their probabilities.
        past: [T, D] hidden states of the text, float64.
        ahead: [K, D] hidden state of each next token, float64.
    """

    tokens: tuple[int, ...]
    p: np.ndarray
    past: np.ndarray
    ahead: np.ndarray


@dataclass(frozen=True)
class _Candidates:
    """The image-independent part of a step: tokens [K], (1 - alpha) p - alpha penalty [K], unit-norm embeddings
    [K, E] of the texts that end with each.
    """

    tokens: tuple[int, ...]
    fluency: np.ndarray
    texts: np.ndarray


class LanguageModel:
    """A causal language model, or the decoder of a vision encoder–decoder, which then does not see the image. Raises
    `InputError` where the checkpoint is none."""

    def __init__(self, checkpoint: Checkpoint, device: str, precision: str) -> None:
        library = transformers()
        directory = str(checkpoint.directory)
        whole = checkpoint.model_type == "vision-encoder-decoder"
        auto = library.VisionEncoderDecoderModel if whole else library.AutoModelForCausalLM
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = auto.from_pretrained(directory, dtype=DTYPES[precision], **checkpoint.loading)
                self.tokenizer = library.AutoTokenizer.from_pretrained(directory, **checkpoint.loading)
        except Exception as error:  # transformers raises many types here
            raise InputError(
                f"cannot load {visible(checkpoint.id)} as a language model: {first_line(error)}",
                where=str(checkpoint.directory),
                fix="name a model that transformers' AutoModelForCausalLM can load, such as gpt2",
            ) from error
        self.model = (model.decoder if whole else model).eval().requires_grad_(False).to(device)
        self.device = torch.device(device)
        self.caches = "past_key_values" in inspect.signature(self.model.forward).parameters
        self.positions = int(getattr(self.model.config, "max_position_embeddings", None) or 1024)

    def start(self, prompt: str) -> list[int]:
        """The tokens decoding begins with: the start token, if there is one, and the prompt."""
        ids = self.tokenizer(prompt, add_special_tokens=False)["input_ids"] if prompt else []
        found = [*([self.first] if self.first is not None else []), *ids]
        return found or [self.tokenizer.eos_token_id]

    @torch.inference_mode()
    def read(self, sequences: Sequence[Sequence[int]], k: int) -> list["Step"]:
        """The `k` most likely next tokens of each of some texts with equally many tokens."""
        prompt_ids = torch.tensor([list(ids) for ids in sequences], device=self.device)
        output = self.model(input_ids=prompt_ids, output_hidden_states=True, use_cache=self.caches)
        logits = output.logits[:, -1].double().cpu()
        tokens = torch.sort(logits, descending=True, stable=True).indices[:, :k]
        p = logits.softmax(-1).gather(1, tokens).numpy()
        past = output.hidden_states[-1].double().cpu().numpy()
        following = tokens.reshape(-1, 1).to(self.device)
        rows = torch.arange(len(prompt_ids), device=self.device).repeat_interleave(tokens.shape[1])
        if self.caches:
            cache = output.past_key_values
            cache.reorder_cache(rows)
            ahead = self.model(input_ids=following, past_key_values=cache, output_hidden_states=True, use_cache=True)
        else:
            ahead = self.model(input_ids=torch.cat([prompt_ids[rows], following], dim=1), output_hidden_states=True)
        states = ahead.hidden_states[-1][:, -1].double().cpu().numpy().reshape(*tokens.shape, -1)
        return [Step(tuple(each.tolist()), *arrays) for each, *arrays in zip(tokens, p, past, states, strict=True)]

    @cached_property
    def first(self) -> int | None:
        """The start token, if there is one."""
        found: int | None = self.tokenizer.get_vocab().get(START, self.tokenizer.bos_token_id)
        return found

    def text(self, ids: Sequence[int]) -> str:
        """Tokens as text, without special ones."""
        return str(self.tokenizer.decode([token for token in ids if token != self.first], skip_special_tokens=True))


@dataclass(frozen=True)
class Weights:
    """The paper's alpha, beta and k; its choice for COCO unless said otherwise."""

    alpha: float = ALPHA
    beta: float = BETA
    k: int = K

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1 or not 0 <= self.beta < math.inf or self.k < 1:
            raise UsageError("MAGIC needs alpha from 0 to 1, beta of at least 0 and k of at least 1")


@dataclass(frozen=True)
class MagicName:
    """``LANGUAGE_MODEL,DUAL_ENCODER[?alpha=…&beta=…&k=…]``."""

    models: Models
    weights: Weights

    @classmethod
    def parse(cls, text: str) -> Self:
        """The parts of the name; `ValueError` where it is not such a name, `UsageError` where a setting is invalid."""
        models = Models.parse(text, least=2, most=2, settings=True)
        query = models.settings or ""
        try:
            settings = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
            numbers = {name: {"alpha": float, "beta": float, "k": int}[name](value) for name, value in settings.items()}
        except (KeyError, ValueError) as error:
            raise UsageError(
                f"settings that are unknown or not numbers: {visible(query)}",
                where=visible(f"magic:{text}"),
                fix="…?alpha=NUMBER&beta=NUMBER&k=NUMBER",
            ) from error
        return cls(models, Weights(**numbers))

    def __str__(self) -> str:
        return str(self.models)


class Magic:
    """A captioner made of a language model and a dual encoder.

    The language model's output for a prefix, and the dual encoder's embeddings of its continuations, are cached for
    images with the same prefix. Raises `UsageError` for beams, sampling or examples.
    """

    def __init__(
        self, name: MagicName, checkpoint: Checkpoint, encoder: Encoder, decoding: Decoding, runtime: Runtime
    ) -> None:
        self.system = f"magic:{checkpoint.system},{encoder.files.system}"
        if decoding.num_beams > 1 or decoding.temperature > 0 or decoding.shots:
            raise UsageError(
                "MAGIC has its own search: --num-beams, --temperature and --shots have no effect",
                where=self.system,
            )
        self.checkpoint = checkpoint
        self.options = decoding
        self.runtime = runtime
        self.weights = name.weights
        self._encoder = encoder
        self._continuations: dict[tuple[int, ...], _Candidates] = {}
        files = encoder.files
        sees = digest([files.weights_sha256, files.preprocessing_sha256, files.tokenizer_sha256, runtime.precision])
        self.facts = ModelFacts(
            id=f"magic:{name}",
            revision=checkpoint.revision,
            weights_sha256=digest([checkpoint.weights_sha256, sees]),
            kind="magic",
            trust_remote_code=checkpoint.own_code or files.own_code,
        )

    @cached_property
    def language(self) -> LanguageModel:
        """The language model, loaded for the first caption."""
        return LanguageModel(self.checkpoint, self.runtime.device, self.runtime.precision)

    @property
    def decoding(self) -> dict[str, Any]:
        """Prompt, length, alpha, beta, k and the end."""
        return {
            "prompt": self.options.prompt or "",
            "max_new_tokens": self.options.max_new_tokens,
            **asdict(self.weights),
            "stop": STOP,
            "processor": self.checkpoint.beside_sha256[:16],
        }

    def stream(self, items: Iterable[Item]) -> Iterator[list[Done]]:
        """Captions in batches."""
        return Batcher(self._captions, self.runtime.batch_size, self.runtime.reporter.warn).stream(items)

    def _captions(self, items: Sequence[Item]) -> list[str]:
        with _threads_for(self.language.model):
            return self._decode(items)

    def _decode(self, items: Sequence[Item]) -> list[str]:
        """Captions token by token, for all images at once; equal prefixes are computed once."""
        encoder, language, beta = self._encoder.encoder, self.language, self.weights.beta
        pixels = np.stack([encoder.preprocess(item.image) for item in items])
        images = unit(np.asarray(encoder.encode_images(pixels)[PROJ], np.float64))
        start = language.start(self.options.prompt or "")
        texts = [list(start) for _ in items]
        open_ = list(range(len(items)))
        for _ in range(min(self.options.max_new_tokens, language.positions - len(start))):
            known = self._following({tuple(texts[row]) for row in open_})
            for row in tuple(open_):
                following = known[tuple(texts[row])]
                scores = following.fluency + beta * softmax(encoder.scale.scale * (following.texts @ images[row]))
                token = following.tokens[int(np.argmax(scores))]
                if token != language.tokenizer.eos_token_id:
                    texts[row].append(token)
                    if not language.text(texts[row][len(start) :]).rstrip().endswith(STOP):
                        continue
                open_.remove(row)
        return [one_line(language.text(ids)) for ids in texts]

    def _following(self, beginnings: Collection[tuple[int, ...]]) -> dict[tuple[int, ...], _Candidates]:
        """The continuations of prefixes of equal length, independent of the image."""
        found = {ids: self._continuations[ids] for ids in beginnings if ids in self._continuations}
        new = sorted(set(beginnings) - set(found))
        at_once = max(1, _ROWS // self.weights.k)
        for at in range(0, len(new), at_once):
            part = new[at : at + at_once]
            steps = self.language.read(part, self.weights.k)
            texts = [
                self.language.text([*ids, token])
                for ids, step in zip(part, steps, strict=True)
                for token in step.tokens
            ]
            embedded = unit(np.asarray(self._encoder.encoder.encode_texts(texts), np.float64))
            for ids, step, own in zip(part, steps, np.split(embedded, len(part)), strict=True):
                found[ids] = _Candidates(step.tokens, fluency(step.p, step.past, step.ahead, self.weights.alpha), own)
        self._continuations.update(found)
        for ids in list(self._continuations)[: max(0, len(self._continuations) - _MOST)]:
            del self._continuations[ids]
        return found


@contextmanager
def _threads_for(model: Any) -> Iterator[None]:
    """One thread for a small model: its products are so short that a second would mostly wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if model.num_parameters() < _SMALL else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fluency(p: np.ndarray, past: np.ndarray, ahead: np.ndarray, alpha: float) -> np.ndarray:
    """The image-independent part of each candidate token's score, [K] float64: (1 - alpha) p - alpha max cos.

    `p` [K] is its probability, `past` [T, D] the hidden states of the tokens so far, `ahead` [K, D] that of each
    candidate, alpha the weight of the degeneration penalty, 0 to 1.
    """
    penalty = (unit(ahead) @ unit(past).T).max(axis=1)
    return np.asarray((1 - alpha) * p - alpha * penalty)


def _open(name: MagicName, setup: Setup) -> Captioner:
    language, encoder = name.models.names
    return Magic(name, setup.checkpoint(language), setup.dual_encoder(encoder), setup.decoding, setup.runtime)


KIND = CaptionerKind(name="magic", open=_open, parse=MagicName.parse)
