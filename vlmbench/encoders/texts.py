"""Plain text encoders by transformers: mean pooling over the tokens, as sentence encoders are used."""

from collections.abc import Sequence

import numpy as np
import torch

from vlmbench.encoders.base import TEXT_BATCH, Scale
from vlmbench.encoders.files import ModelFiles
from vlmbench.encoders.pretrained import load_model, load_tokenizer
from vlmbench.foundations.progress import Reporter


class MeanPooledTexts:
    """BERT, RoBERTa, MPNet, DistilBERT …: the mean of the last hidden states over the tokens that are no padding."""

    layers: tuple[str, ...] = ()
    scale = Scale(1.0)

    def __init__(self, files: ModelFiles, device: str, precision: str, reporter: Reporter) -> None:
        options = (
            {"add_pooling_layer": False} if files.family.name in {"bert", "roberta", "xlm-roberta", "mpnet"} else {}
        )
        self.model = load_model(files, "AutoModel", device, precision, **options)
        self.tokenizer = load_tokenizer(files)
        self.device = torch.device(device)
        positions = int(getattr(self.model.config, "max_position_embeddings", 512))
        if files.family.name in {"roberta", "xlm-roberta", "mpnet"}:
            positions -= int(self.model.config.pad_token_id) + 1
        self.context = min(int(self.tokenizer.model_max_length), positions)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Texts [T] to un-normalised embeddings [T, D] float32."""
        parts = []
        for start in range(0, len(texts), TEXT_BATCH):
            batch = self.tokenizer(
                list(texts[start : start + TEXT_BATCH]),
                padding=True,
                truncation=True,
                max_length=self.context,
                return_tensors="pt",
            ).to(self.device)
            states = self.model(**batch).last_hidden_state.float()
            mask = batch["attention_mask"][..., None].float()
            parts.append(((states * mask).sum(1) / mask.sum(1)).cpu().numpy())
        return np.concatenate(parts)
