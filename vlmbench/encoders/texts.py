"""Plain text encoders by transformers: mean pooling over the tokens, as sentence encoders are used."""

from collections.abc import Sequence

import numpy as np
import torch

from vlmbench.encoders.base import TEXT_BATCH, Scale
from vlmbench.encoders.files import ModelFiles
from vlmbench.encoders.pretrained import context_length, load_tokenizer, load_weights
from vlmbench.foundations.progress import Reporter


class MeanPooledTexts:
    """The mean of the last hidden states over the tokens that are no padding."""

    layers: tuple[str, ...] = ()
    scale = Scale(1.0)
    add_pooling_layer: bool | None = None

    def __init__(self, files: ModelFiles, device: str, precision: str, reporter: Reporter) -> None:
        self.model = load_weights(files, "AutoModel", device, precision, add_pooling_layer=self.add_pooling_layer)
        self.tokenizer = load_tokenizer(files)
        self.device = torch.device(device)
        self.context = context_length(self.tokenizer, self.model.config)
        self.text_tower = self._text

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Texts [T] to un-normalised embeddings [T, D] float32."""
        parts = []
        for start in range(0, len(texts), TEXT_BATCH):
            parts.append(self.text_tower(self.tokens(list(texts[start : start + TEXT_BATCH]))).cpu().numpy())
        return np.concatenate(parts)

    def tokens(self, texts: list[str]) -> dict[str, torch.Tensor]:
        """Texts [B] to the text tower's arguments, each [B, L]."""
        batch = self.tokenizer(texts, padding=True, truncation=True, max_length=self.context, return_tensors="pt")
        return dict(batch.to(self.device))

    def _text(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        states = self.model(**batch).last_hidden_state.float()
        mask = batch["attention_mask"][..., None].float()
        pooled: torch.Tensor = (states * mask).sum(1) / mask.sum(1)
        return pooled


class UnpooledTexts(MeanPooledTexts):
    """BERT, RoBERTa, MPNet …: the same, loaded without the pooler, which sentence encoders do not use."""

    add_pooling_layer = False
