"""``colour_words``: a small dual encoder, the mean colour of an image against the words of a text."""

import json

import numpy as np

from vlmbench.encoders.base import PROJ, Scale
from vlmbench.encoders.families import DUAL, Family

FAMILY = Family("colour_words", DUAL, "sample_models:ColourWords", (PROJ,))


class ColourWords:
    """Two linear layers of torch, one over the image's mean colour and one over counts of the vocabulary's words."""

    layers = (PROJ,)

    def __init__(self, files, device, precision, reporter):
        import torch
        from safetensors.torch import load_file

        self.words = json.loads((files.directory / "tokenizer.json").read_text())
        width = files.config["width"]
        self.model = torch.nn.ModuleDict(
            {"image": torch.nn.Linear(3, width), "text": torch.nn.Linear(len(self.words), width, bias=False)}
        )
        self.model.load_state_dict(load_file(files.directory / "model.safetensors"))
        self.model.eval().requires_grad_(False).to(device)

    @property
    def scale(self):
        """A fixed one."""
        return Scale(20.0)

    def preprocess(self, image):
        """An RGB image to its mean colour [3], -1 to 1."""
        return np.asarray(image, np.float32).mean((0, 1)) / 127.5 - 1

    def encode_images(self, pixels):
        """Mean colours [B, 3] to ``proj`` [B, D]."""
        return {PROJ: self._run("image", pixels)}

    def encode_texts(self, texts):
        """Texts [T] to embeddings [T, D]."""
        counts = [[text.lower().count(word) for word in self.words] for text in texts]
        return self._run("text", np.array(counts, np.float32))

    def _run(self, side, values):
        import torch

        device = next(self.model.parameters()).device
        return self.model[side](torch.from_numpy(values).to(device)).cpu().numpy()
