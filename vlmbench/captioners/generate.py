"""Captioners with transformers: one adapter for every architecture of `families`.

Batches are padded on the left with their attention mask, so that in fp32 a greedy caption does not depend on its
neighbours. For the same reason sampling takes images one at a time, each with its own seed.
"""

import copy
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import torch

from vlmbench.captioners import families
from vlmbench.captioners.base import Captioner, Decoding, Done, Example, Item, Runtime, Setup, examples_key, one_line
from vlmbench.captioners.batches import Batcher
from vlmbench.captioners.checkpoint import Checkpoint
from vlmbench.captioners.names import CHECKPOINT, CaptionerKind
from vlmbench.captioners.processors import first_line, load_processor
from vlmbench.captioners.prompts import END_OF_UTTERANCE, Prompt
from vlmbench.encoders.pretrained import DTYPES, transformers
from vlmbench.foundations.errors import InputError, UsageError, VlmbenchError
from vlmbench.foundations.seeds import derive_seed
from vlmbench.foundations.text import visible
from vlmbench.records.result import ModelFacts

_AUTO = ("AutoModelForImageTextToText", "AutoModelForVision2Seq")
_SAMPLING = {
    "do_sample": False,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 50,
    "num_beams": 1,
    "max_length": None,
    "min_length": 0,
}


class Generator:
    """A captioner that generates; its model is loaded for the first caption. Raises `UsageError` for a prompt or
    examples that its architecture does not take."""

    def __init__(
        self, checkpoint: Checkpoint, decoding: Decoding, runtime: Runtime, examples: Sequence[Example] = ()
    ) -> None:
        self.checkpoint = checkpoint
        self.family = families.family_of(checkpoint.model_type)
        if decoding.shots and not self.family.example:
            raise UsageError(
                f"{visible(checkpoint.id)} ({checkpoint.model_type}) takes no few-shot examples",
                fix="leave --shots out",
            )
        if decoding.prompt is not None and self.family.layout == families.IMAGE_ONLY:
            raise UsageError(
                f"{visible(checkpoint.id)} ({checkpoint.model_type}) takes no prompt", fix="leave --prompt out"
            )
        self.options = decoding
        self.examples = tuple(examples)
        self.runtime = runtime
        self.prompt_text = decoding.prompt if decoding.prompt is not None else self.family.prompt

    @property
    def system(self) -> str:
        """Its alias, or the name of its directory."""
        return self.checkpoint.system

    @property
    def facts(self) -> ModelFacts:
        """Its id, revision and the hash of its weights."""
        return self.checkpoint.facts

    @property
    def decoding(self) -> dict[str, Any]:
        """Everything besides the weights that decides a caption."""
        return {
            **self.options.record(),
            "prompt": self.prompt_text,
            "examples": examples_key(self.examples),
            "precision": self.runtime.precision,
            "processor": self.checkpoint.beside_sha256[:16],
        }

    def stream(self, items: Iterable[Item]) -> Iterator[list[Done]]:
        """Captions in batches; one image at a time when sampling, or if batches would change captions."""
        most = 1 if self.options.temperature > 0 else self.family.most or self.runtime.batch_size
        return Batcher(self.caption, min(most, self.runtime.batch_size), self.runtime.reporter.warn).stream(items)

    @cached_property
    def processor(self) -> Any:
        """The checkpoint's processor, padding on the left."""
        processor = load_processor(self.checkpoint)
        processor.tokenizer.padding_side = "left"
        if processor.tokenizer.pad_token is None:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token
        return processor

    @cached_property
    def model(self) -> Any:
        """The model, in evaluation mode on its device."""
        with self.runtime.reporter.task(f"loading {self.checkpoint.id}", None):
            return self._load()

    @cached_property
    def prompt(self) -> Prompt:
        """The text around an image."""
        return Prompt(self.family, self.processor, self.prompt_text, self.examples)

    @cached_property
    def settings(self) -> Any:
        """The checkpoint's generation settings, made greedy, then the user's options on top."""
        settings = copy.deepcopy(self.model.generation_config)
        for name, value in _SAMPLING.items():
            setattr(settings, name, value)
        settings.num_beams = self.options.num_beams
        settings.early_stopping = self.options.num_beams > 1
        settings.max_new_tokens = self.options.max_new_tokens
        if self.family.layout == families.IMAGE_ONLY:  # a small decoder has no more positions than it was trained with
            positions = self.model.config.get_text_config(decoder=True).max_position_embeddings
            settings.max_new_tokens = min(settings.max_new_tokens, positions - 1)
        if self.options.temperature > 0:
            settings.do_sample, settings.temperature = True, self.options.temperature
        if settings.pad_token_id is None:
            settings.pad_token_id = self.processor.tokenizer.pad_token_id
        known = self.processor.tokenizer.get_vocab()
        never = [known[token] for token in self.family.never if token in known]
        settings.suppress_tokens = [*(settings.suppress_tokens or ()), *never] or None
        if self.prompt.dialogue:
            settings.eos_token_id = [self.processor.tokenizer.eos_token_id, known[END_OF_UTTERANCE]]
        return settings

    @torch.inference_mode()
    def caption(self, items: Sequence[Item]) -> list[str]:
        """One caption per item."""
        inputs = self.prompt.inputs([item.image for item in items]).to(self.runtime.device)
        inputs = {name: self._cast(value) for name, value in inputs.items()}
        if self.options.temperature > 0:
            torch.manual_seed(derive_seed(self.options.seed, "caption", items[0].digest))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            output = self.model.generate(**inputs, generation_config=self.settings)
        return [self._text(row, inputs.get("input_ids"), index) for index, row in enumerate(output)]

    def _cast(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            return value.to(self.runtime.device, self.model.dtype)
        return value.to(self.runtime.device) if isinstance(value, torch.Tensor) else value

    def _text(self, row: torch.Tensor, given: torch.Tensor | None, index: int) -> str:
        """The caption in one row of output, without special tokens and without a repeated prompt."""
        if given is not None:
            prompt = given[index]
            if len(row) >= len(prompt) and torch.equal(row[: len(prompt)], prompt):
                row = row[len(prompt) :]
        text = self.processor.tokenizer.decode(row, skip_special_tokens=True)
        if self.family.grounded:
            text = self.processor.post_process_generation(text)[0]
        return one_line(self.prompt.without(text))

    def _load(self) -> Any:
        library = transformers()
        checkpoint = self.checkpoint
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                known = [name for name in _AUTO if hasattr(library, name)]
                if checkpoint.own_code:
                    known = [name for name in (*known, "AutoModelForCausalLM") if name in checkpoint.config["auto_map"]]
                model, loading = getattr(library, known[0]).from_pretrained(
                    str(checkpoint.directory),
                    dtype=DTYPES[self.runtime.precision],
                    output_loading_info=True,
                    **checkpoint.loading,
                )
        except VlmbenchError:
            raise
        except Exception as error:
            raise InputError(
                f"cannot load {visible(checkpoint.id)} as a captioner: {first_line(error)}",
                where=str(checkpoint.directory),
                fix="name a model that transformers' AutoModelForImageTextToText can load",
            ) from error
        missing = sorted(key for key in loading["missing_keys"] if not key.startswith("encoder.pooler."))  # not used
        if missing:
            raise InputError(
                f"the checkpoint of {visible(checkpoint.id)} lacks {len(missing)} weights of {type(model).__name__}; "
                f"the first is {missing[0]}",
                where=str(checkpoint.directory),
                fix="download the whole checkpoint again; missing weights are never replaced by random ones",
            )
        return model.eval().requires_grad_(False).to(self.runtime.device)


def _open(name: str, setup: Setup) -> Captioner:
    return Generator(setup.checkpoint(name), setup.decoding, setup.runtime, setup.examples())


KIND = CaptionerKind(name=CHECKPOINT, open=_open)
