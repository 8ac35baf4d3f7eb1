"""MAGIC: a language model told by CLIP what it sees, without training (Su et al., Language Models Can See, 2022).

Each next token is the one, among the `K` likeliest, with the highest (equation 5 of the paper)

    (1 - alpha) p(v | x) - alpha max_j cos(h_v, h_j) + beta softmax_v(CLIP(image, [x : v]))

where h are hidden states of the last layer and CLIP is the dual encoder's own scaled cosine.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
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
START = "<-start_of_text->"
"""The start token of the language models published with the paper; others begin with their own."""


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
        self.positions = int(getattr(self.model.config, "max_position_embeddings", None) or 1024)

    def start(self, prompt: str) -> list[int]:
        """The tokens decoding begins with: the start token, where there is one, and the prompt."""
        ids = self.tokenizer(prompt, add_special_tokens=False)["input_ids"] if prompt else []
        first = self.tokenizer.get_vocab().get(START, self.tokenizer.bos_token_id)
        found = [*([first] if first is not None else []), *ids]
        return found or [self.tokenizer.eos_token_id]

    def read(self, sequences: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """Sequences [B, T] of tokens to probabilities of the next token [B, V] and hidden states [B, T, D], float64."""
        ids = torch.tensor(sequences, device=self.device)
        output = self.model(input_ids=ids, output_hidden_states=True, use_cache=False)
        probability = output.logits[:, -1].double().softmax(-1)
        return probability.cpu().numpy(), output.hidden_states[-1].double().cpu().numpy()

    def text(self, ids: Sequence[int]) -> str:
        """Tokens as text, without special ones."""
        start = self.tokenizer.get_vocab().get(START)
        return str(self.tokenizer.decode([token for token in ids if token != start], skip_special_tokens=True))


class Magic:
    """A captioner of a language model and a dual encoder.

    Args:
        name: what it is called, ``magic:LM,ENCODER``.
        checkpoint: the language model's files.
        language: opens the language model.
        encoder: opens the dual encoder.
        encoder_key: hash of the dual encoder's weights and processor.
        options: prompt and longest caption.
        reporter: told of failures.
        alpha: weight of the degeneration penalty.
        beta: weight of the image.
        k: candidates a step.

    Raises:
        UsageError: beams, sampling or examples.
    """

    def __init__(
        self,
        name: str,
        checkpoint: Checkpoint,
        language: Callable[[], LanguageModel],
        encoder: Callable[[], DualEncoder],
        encoder_key: str,
        options: Decoding,
        *,
        reporter: Reporter,
        alpha: float = ALPHA,
        beta: float = BETA,
        k: int = K,
    ) -> None:
        if options.num_beams > 1 or options.temperature > 0 or options.shots:
            raise UsageError(
                "MAGIC is a search of its own: --num-beams, --temperature and --shots do nothing there", where=name
            )
        self.system = name
        self.checkpoint = checkpoint
        self.encoder_key = encoder_key
        self.options = options
        self.reporter = reporter
        self.alpha, self.beta, self.k = alpha, beta, k
        self._language, self._encoder = language, encoder

    @cached_property
    def language(self) -> LanguageModel:
        """The language model, loaded when the first caption is asked for."""
        return self._language()

    @property
    def facts(self) -> ModelFacts:
        """Both models: the hash is of the two hashes."""
        weights = digest([self.checkpoint.weights_sha256, self.encoder_key])
        return ModelFacts(id=self.system, revision=self.checkpoint.revision, weights_sha256=weights, kind="magic")

    @property
    def decoding(self) -> dict[str, Any]:
        """Prompt, length, alpha, beta, k and the end."""
        return {
            "prompt": self.options.prompt or "",
            "max_new_tokens": self.options.max_new_tokens,
            "alpha": self.alpha,
            "beta": self.beta,
            "k": self.k,
            "stop": STOP,
            "processor": self.checkpoint.beside_sha256[:16],
        }

    def stream(self, items: Iterable[Item]) -> Iterator[list[Done]]:
        """Captions one image at a time."""
        return Batcher(lambda batch: [self._caption(item) for item in batch], 1, self.reporter.warn).stream(items)

    @torch.inference_mode()
    def _caption(self, item: Item) -> str:
        language, encoder = self.language, self._encoder()
        pixels = np.asarray(encoder.preprocess(item.image))[None]
        image = unit(np.asarray(encoder.encode_images(pixels)[PROJ], np.float64))[0]
        ids = language.start(self.options.prompt or "")
        probability, hidden = language.read([ids])
        p, past = probability[0], hidden[0]
        begun = len(ids)
        for _ in range(min(self.options.max_new_tokens, language.positions - begun)):
            candidates = np.argsort(-p, kind="stable")[: self.k]
            probability, hidden = language.read([[*ids, int(v)] for v in candidates])
            texts = [language.text([*ids, int(v)]) for v in candidates]
            cosines = unit(np.asarray(encoder.encode_texts(texts), np.float64)) @ image
            scores = magic_scores(
                p[candidates], past, hidden[:, -1], encoder.scale.scale * cosines, alpha=self.alpha, beta=self.beta
            )
            best = int(np.argmax(scores))
            token = int(candidates[best])
            if token == language.tokenizer.eos_token_id:
                break
            ids.append(token)
            p, past = probability[best], hidden[best]
            if language.text(ids[begun:]).rstrip().endswith(STOP):
                break
        return one_line(language.text(ids))


def magic_scores(
    p: np.ndarray, past: np.ndarray, candidates: np.ndarray, similarity: np.ndarray, *, alpha: float, beta: float
) -> np.ndarray:
    """The score of each candidate token (Su et al. 2022, equation 5).

    Args:
        p: [K] its probability.
        past: [T, D] hidden states of the tokens so far.
        candidates: [K, D] hidden state of each candidate.
        similarity: [K] scaled cosine of the image and the text that ends with it.
        alpha: weight of the degeneration penalty, 0 to 1.
        beta: weight of the image.

    Returns:
        [K] float64; the highest is taken.
    """
    penalty = (unit(candidates) @ unit(past).T).max(axis=1)
    weights = np.exp(similarity - similarity.max())
    scores: np.ndarray = (1 - alpha) * p - alpha * penalty + beta * weights / weights.sum()
    return scores
