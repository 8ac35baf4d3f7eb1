"""What several benchmarks run on: checkpoints with random weights, folders of JPEGs."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

BUNDLED = Path(__file__).parent.parent / "vlmbench" / "bundled" / "models" / "tiny-clip"
TOWERS = {
    "b32": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "patch_size": 32},
    "b16": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "patch_size": 16},
    "l14": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "patch_size": 14},
}
SIDE = 224
SIZES = {"small": None, "medium": (300, 200), "large": (4000, 3000)}


def checkpoint(name: str, root: Path, *, small_text: bool = True) -> Path:
    """A CLIP checkpoint with random weights and a small text tower, or that of ViT-B/32 (transformers' default)."""
    import torch
    from transformers import CLIPConfig, CLIPModel

    from vlmbench.encoders.pretrained import transformers

    directory = root / name
    if directory.is_dir():
        return directory
    transformers()  # without its reports
    torch.manual_seed(0)
    vision = {**TOWERS[name], "intermediate_size": 4 * TOWERS[name]["hidden_size"], "image_size": SIDE}
    small = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1}
    text = small if small_text else {}
    CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=512)).save_pretrained(directory)
    for path in BUNDLED.iterdir():
        if any(part in path.name for part in ("token", "vocab", "merges")):
            shutil.copy(path, directory)
    crop = {"height": SIDE, "width": SIDE}
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    facts = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": SIDE}, "crop_size": crop}
    settings = {**facts, "image_mean": mean, "image_std": std, "resample": 3}
    (directory / "preprocessor_config.json").write_text(json.dumps(settings))
    return directory


def pictures(size: str, count: int, root: Path) -> Path:
    """A folder of two classes of smooth noise; after 256 different images, the same ones with another comment."""
    folder, generator, made = root / size, np.random.default_rng(0), []
    for number in range(count):
        if number < 256:
            width, height = SIZES[size] or generator.integers(32, 65, 2)
            coarse = generator.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=88)
            made.append(buffer.getvalue())
        comment = b"\xff\xfe\x00\x06" + number.to_bytes(4, "big")
        path = folder / f"class{number % 2}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = made[number % 256]
        path.write_bytes(data[:2] + comment + data[2:])
    return folder
