"""MAGIC: a language model told by CLIP what it sees, without training (Su et al., Language Models Can See, 2022).

Each next token is the one, among the `K` likeliest, with the highest (equation 5 of the paper)

    (1 - alpha) p(v | x) - alpha max_j cos(h_v, h_j) + beta softmax_v(CLIP(image, [x : v]))

where h are hidden states of the last layer and CLIP is the dual encoder's own scaled cosine.
"""

import inspect
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch

from vlmbench.captioners.anchors import unit
from vlmbench.captioners.base import Decoding, Done, Item, one_line
from vlmbench.captioners.batches import Batcher
from vlmbench.captioners.checkpoint import Checkpoint
from vlmbench.captioners.processors import first_line
from vlmbench.encoders.base import PROJ, DualEncoder
from vlmbench.encoders.pretrained import DTYPES, LOCAL, transformers
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.progress import Reporter
from vlmbench.foundations.text import visible
from vlmbench.records.result import ModelFacts

ALPHA, BETA, K = 0.1, 2.0, 45
"""The paper's choice for COCO."""
STOP = "."
_KEPT = 2048
"""Beginnings whose continuations are kept in memory."""
START = "<-start_of_text->"
"""The start token of the language models published with the paper; others begin with their own."""


@dataclass(frozen=True)
class Step:
    """A language model's look ahead from a text of T tokens.

    Attributes:
        tokens: [K] the likeliest next tokens, the likeliest first.
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
    """What of a step does not depend on the image: tokens [K], (1 - alpha) p - alpha penalty [K], unit-norm embeddings
    [K, E] of the texts that end with each.
    """

    tokens: tuple[int, ...]
    fluency: np.ndarray
    texts: np.ndarray


class LanguageModel:
    """A causal language model, or the decoder of a vision encoder–decoder, which then does not see the image.

    Args:
        checkpoint: its files.
        device: ``cpu``, ``cuda``, ``mps``.
        precision: ``fp32``, ``bf16`` or ``fp16``.

    Raises:
        InputError: the checkpoint is no language model.
    """

    def __init__(self, checkpoint: Checkpoint, device: str, precision: str) -> None:
        library = transformers()
        directory = str(checkpoint.directory)
        whole = checkpoint.model_type == "vision-encoder-decoder"
        auto = library.VisionEncoderDecoderModel if whole else library.AutoModelForCausalLM
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = auto.from_pretrained(directory, dtype=DTYPES[precision], **LOCAL)
                self.tokenizer = library.AutoTokenizer.from_pretrained(directory, **LOCAL)
        except Exception as error:  # transformers raises many types here
            raise InputError(
                f"cannot load {visible(checkpoint.id)} as a language model: {first_line(error)}",
                where=str(checkpoint.directory),
                mend="name a model that transformers' AutoModelForCausalLM opens, such as gpt2",
            ) from error
        self.model = (model.decoder if whole else model).eval().requires_grad_(False).to(device)
        self.device = torch.device(device)
        self.caches = "past_key_values" in inspect.signature(self.model.forward).parameters
        self.positions = int(getattr(self.model.config, "max_position_embeddings", None) or 1024)

    def start(self, prompt: str) -> list[int]:
        """The tokens decoding begins with: the start token, where there is one, and the prompt."""
        ids = self.tokenizer(prompt, add_special_tokens=False)["input_ids"] if prompt else []
        found = [*([self.first] if self.first is not None else []), *ids]
        return found or [self.tokenizer.eos_token_id]

    @torch.inference_mode()
    def read(self, ids: Sequence[int], k: int) -> "Step":
        """What may follow `ids` [T]: the `k` likeliest tokens."""
        given = torch.tensor([list(ids)], device=self.device)
        output = self.model(input_ids=given, output_hidden_states=True, use_cache=self.caches)
        logits = output.logits[0, -1].double().cpu()
        tokens = torch.sort(logits, descending=True, stable=True).indices[:k]
        if self.caches:
            cache = output.past_key_values
            cache.reorder_cache(torch.zeros(len(tokens), dtype=torch.long, device=self.device))
            more = {"past_key_values": cache, "input_ids": tokens[:, None].to(self.device)}
        else:
            more = {"input_ids": torch.cat([given.expand(len(tokens), -1), tokens[:, None].to(self.device)], dim=1)}
        ahead = self.model(**more, output_hidden_states=True, use_cache=self.caches)
        return Step(
            tuple(tokens.tolist()),
            logits.softmax(-1)[tokens].numpy(),
            output.hidden_states[-1][0].double().cpu().numpy(),
            ahead.hidden_states[-1][:, -1].double().cpu().numpy(),
        )

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
            raise UsageError("MAGIC wants alpha from 0 to 1, beta of at least 0 and k of at least 1")


class Magic:
    """A captioner of a language model and a dual encoder.

    What the language model says of a beginning, and how the dual encoder reads what may come next, is kept for the
    images that begin alike.

    Args:
        id: as the user named it.
        name: what a table calls it, ``magic:LM,ENCODER``.
        checkpoint: the language model's files.
        language: opens the language model.
        encoder: opens the dual encoder.
        encoder_key: hash of the dual encoder's weights and processor.
        options: prompt and longest caption.
        batch_size: images encoded at a time.
        reporter: told of failures.
        weights: alpha, beta and k.

    Raises:
        UsageError: beams, sampling or examples.
    """

    def __init__(
        self,
        id: str,
        name: str,
        checkpoint: Checkpoint,
        language: Callable[[], LanguageModel],
        encoder: Callable[[], DualEncoder],
        encoder_key: str,
        options: Decoding,
        *,
        batch_size: int,
        reporter: Reporter,
        weights: Weights,
    ) -> None:
        if options.num_beams > 1 or options.temperature > 0 or options.shots:
            raise UsageError(
                "MAGIC is a search of its own: --num-beams, --temperature and --shots do nothing there", where=name
            )
        self.id = id
        self.system = name
        self.checkpoint = checkpoint
        self.encoder_key = encoder_key
        self.options = options
        self.batch_size = batch_size
        self.reporter = reporter
        self.weights = weights
        self._language, self._encoder = language, encoder
        self._next = lru_cache(maxsize=_KEPT)(self._candidates)

    @cached_property
    def language(self) -> LanguageModel:
        """The language model, loaded when the first caption is asked for."""
        return self._language()

    @property
    def facts(self) -> ModelFacts:
        """Both models: the hash is of the two hashes."""
        weights = digest([self.checkpoint.weights_sha256, self.encoder_key])
        return ModelFacts(id=self.id, revision=self.checkpoint.revision, weights_sha256=weights, kind="magic")

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
        """Captions in batches: images are encoded together, each is then decoded alone."""
        return Batcher(self._captions, self.batch_size, self.reporter.warn).stream(items)

    def _captions(self, items: Sequence[Item]) -> list[str]:
        encoder = self._encoder()
        pixels = np.stack([encoder.preprocess(item.image) for item in items])
        images = unit(np.asarray(encoder.encode_images(pixels)[PROJ], np.float64))
        return [self._decode(image, encoder.scale.scale) for image in images]

    def _decode(self, image: np.ndarray, scale: float) -> str:
        """The caption of an image [E], unit norm."""
        language = self.language
        ids = language.start(self.options.prompt or "")
        begun = len(ids)
        for _ in range(min(self.options.max_new_tokens, language.positions - begun)):
            following = self._next(tuple(ids))
            scores = following.fluency + self.weights.beta * softmax(scale * (following.texts @ image))
            token = following.tokens[int(np.argmax(scores))]
            if token == language.tokenizer.eos_token_id:
                break
            ids.append(token)
            if language.text(ids[begun:]).rstrip().endswith(STOP):
                break
        return one_line(language.text(ids))

    def _candidates(self, ids: tuple[int, ...]) -> _Candidates:
        """What may follow `ids`, without regard to the image."""
        step = self.language.read(ids, self.weights.k)
        texts = [self.language.text([*ids, token]) for token in step.tokens]
        embedded = unit(np.asarray(self._encoder().encode_texts(texts), np.float64))
        return _Candidates(step.tokens, fluency(step.p, step.past, step.ahead, self.weights.alpha), embedded)


def fluency(p: np.ndarray, past: np.ndarray, ahead: np.ndarray, alpha: float) -> np.ndarray:
    """The part of each candidate token's score that the image has no say in: (1 - alpha) p - alpha max cos.

    Args:
        p: [K] its probability.
        past: [T, D] hidden states of the tokens so far.
        ahead: [K, D] hidden state of each candidate.
        alpha: weight of the degeneration penalty, 0 to 1.

    Returns:
        [K] float64.
    """
    penalty = (unit(ahead) @ unit(past).T).max(axis=1)
    found: np.ndarray = (1 - alpha) * p - alpha * penalty
    return found


def softmax(x: np.ndarray) -> np.ndarray:
    """Of `x` [K]; sums to 1."""
    weights = np.exp(x - x.max())
    shares: np.ndarray = weights / weights.sum()
    return shares
