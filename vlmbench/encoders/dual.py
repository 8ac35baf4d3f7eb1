"""Dual encoders by transformers: one class a family, each from the family's own modules.

Features come from the modules that `transformers` itself calls for ``logits_per_image``, so that a classifier built
on them gives its predictions.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from vlmbench.encoders.base import PRE_PROJ, PROJ, TEXT_BATCH, Scale
from vlmbench.encoders.files import ModelFiles
from vlmbench.encoders.pretrained import context_length, load_errors, load_tokenizer, load_weights
from vlmbench.encoders.processors import open_processor
from vlmbench.encoders.transfer import from_device, stack
from vlmbench.foundations.progress import Reporter
from vlmbench.foundations.text import visible


class _Dual:
    """What the families share: loading, tokenizing, batching, types.

    Another engine runs the towers by taking their place (`vlmbench.encoders.engine`).
    """

    model_class = "AutoModel"
    padding: bool | str = True
    lower_case = False

    def __init__(self, files: ModelFiles, device: str, precision: str, reporter: Reporter) -> None:
        self.model = load_weights(files, self.model_class, device, precision)
        self.tokenizer = load_tokenizer(files)
        self.preprocess = open_processor(files)
        self.reporter = reporter
        self.id = files.id
        self.device = torch.device(device)
        self.dtype = next(self.model.parameters()).dtype
        self.context = context_length(self.tokenizer, getattr(self.model.config, "text_config", self.model.config))
        self.image_tower, self.text_tower = self._image, self._text
        self._warned = False

    @property
    def layers(self) -> tuple[str, ...]:
        """What `encode_images` gives."""
        return (PROJ, PRE_PROJ)

    @property
    def scale(self) -> Scale:
        """The checkpoint's ``exp(logit_scale)``."""
        return Scale(float(self.model.logit_scale.detach().float().exp()))

    def encode_images(self, pixels: np.ndarray) -> Mapping[str, np.ndarray]:
        """A batch of prepared images to ``proj`` [B, D] and ``pre_proj`` [B, P], un-normalised float32."""
        return self.launch(pixels)()

    def stack(self, items: Sequence[np.ndarray]) -> np.ndarray:
        """Prepared images as a batch."""
        return stack(items, self.device)

    @torch.inference_mode()
    def launch(self, pixels: np.ndarray) -> Callable[[], Mapping[str, np.ndarray]]:
        """Starts `encode_images`; see `base.Launching`."""
        with load_errors(self.id, pixels.shape):
            return from_device(self.image_tower(self.preprocess.inputs(pixels, self.device, self.dtype)))

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Texts [T] to un-normalised embeddings [T, D] float32; one longer than the context is cut, with a warning."""
        given = [text.lower() for text in texts] if self.lower_case else list(texts)
        self._warn_of_long(given)
        parts = []
        for start in range(0, len(given), TEXT_BATCH):
            parts.append(_array(self.text_tower(self.tokens(given[start : start + TEXT_BATCH]))))
        return np.concatenate(parts)

    def tokens(self, texts: list[str]) -> dict[str, torch.Tensor]:
        """Texts [B] to the text tower's arguments, each [B, L]."""
        batch = self.tokenizer(
            texts, padding=self.padding, truncation=True, max_length=self.context, return_tensors="pt"
        )
        return {name: value.to(self.device) for name, value in batch.items()}

    def _warn_of_long(self, texts: list[str]) -> None:
        if self._warned:
            return
        longest = [text for text in texts if len(text) >= self.context // 2]
        if not longest:
            return
        lengths = [len(ids) for ids in self.tokenizer(longest, verbose=False)["input_ids"]]
        cut = [text for text, length in zip(longest, lengths, strict=True) if length > self.context]
        if cut:
            self._warned = True
            self.reporter.warn(
                f"{self.id} reads {self.context} tokens; longer texts are truncated, the first is {visible(cut[0])!r}"
            )

    def _image(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        raise NotImplementedError

    def _text(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        raise NotImplementedError


class ClipEncoder(_Dual):
    """CLIP, MetaCLIP 2, AltCLIP, Chinese-CLIP and two towers coupled by transformers' ``VisionTextDualEncoderModel``.

    A pooled class token, then a linear projection on each side.
    """

    def _image(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        output = self.model.vision_model(**inputs)
        pooled = output.pooler_output
        return {PROJ: self.model.visual_projection(pooled), PRE_PROJ: pooled}

    def _text(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return _embedding(self.model.get_text_features(**batch))


class _Unprojected(_Dual):
    """Families whose image side has no projection: what is pooled is the embedding."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The embedding alone."""
        return (PROJ,)

    def _image(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {PROJ: self.model.vision_model(**inputs).pooler_output}

    def _text(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return _embedding(self.model.get_text_features(**batch))


class SiglipEncoder(_Unprojected):
    """SigLIP and SigLIP 2 (fixed resolution and NaFlex): attention pooling, and a bias on the logits.

    Texts are lower-cased and padded to the whole context, and attention sees the padding, as these models were trained
    (big_vision's text tower has no mask).
    """

    padding = "max_length"
    lower_case = True

    def _text(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return _embedding(self.model.get_text_features(input_ids=batch["input_ids"]))

    @property
    def scale(self) -> Scale:
        """The checkpoint's ``exp(logit_scale)`` and bias."""
        return Scale(
            float(self.model.logit_scale.detach().float().exp()), float(self.model.logit_bias.detach().float())
        )


class AlignEncoder(_Unprojected):
    """ALIGN: EfficientNet's pooled features, BERT's projected class token, cosines over a temperature."""

    @property
    def scale(self) -> Scale:
        """One over the checkpoint's temperature."""
        return Scale(1 / float(self.model.temperature.detach().float()))


class BlipEncoder(_Dual):
    """BLIP's contrastive towers and its matching head (``BlipForImageTextRetrieval``).

    The checkpoints hold no contrastive temperature: logits are cosines, and a softmax of them is nearly flat.
    """

    model_class = "BlipForImageTextRetrieval"

    @property
    def scale(self) -> Scale:
        """1: the checkpoint holds none."""
        return Scale(1.0)

    def _image(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        token = self.model.vision_model(**inputs).last_hidden_state[:, 0]
        return {PROJ: self.model.vision_proj(token), PRE_PROJ: token}

    def _text(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        state = self.model.text_encoder(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        projected: torch.Tensor = self.model.text_proj(state[:, 0])
        return projected

    @torch.inference_mode()
    def match(self, pixels: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """The matching head's logit that a text describes the image.

        Args:
            pixels: [3, H, W] float32, one prepared image.
            texts: [B].

        Returns:
            [B] float32; the image is encoded once.
        """
        inputs = self.preprocess.inputs(pixels[None], self.device, self.dtype)
        states = self.model.vision_model(**inputs).last_hidden_state.expand(len(texts), -1, -1)
        batch = self.tokens(list(texts))
        joint = self.model.text_encoder(
            batch["input_ids"],
            attention_mask=batch["attention_mask"],
            encoder_hidden_states=states,
            encoder_attention_mask=torch.ones(states.shape[:2], dtype=torch.long, device=self.device),
        ).last_hidden_state
        return _array(self.model.itm_head(joint[:, 0])[:, 1])


class OwnCodeEncoder(_Unprojected):
    """A model whose code came with its weights: what it calls ``get_image_features`` and ``get_text_features``."""

    @property
    def scale(self) -> Scale:
        """The checkpoint's ``exp(logit_scale)`` and bias; 1 and 0 where it has none, which no prediction depends on."""
        scale, bias = getattr(self.model, "logit_scale", None), getattr(self.model, "logit_bias", None)
        return Scale(
            1.0 if scale is None else float(scale.detach().float().exp()),
            0.0 if bias is None else float(bias.detach().float()),
        )

    def _image(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {PROJ: _embedding(self.model.get_image_features(**inputs))}


def _embedding(output: Any) -> torch.Tensor:
    """transformers 5 gives an output object here, transformers 4 the tensor itself."""
    found: torch.Tensor = output if isinstance(output, torch.Tensor) else output.pooler_output
    return found


def _array(tensor: torch.Tensor) -> np.ndarray:
    found: np.ndarray = tensor.float().cpu().numpy()
    return found
