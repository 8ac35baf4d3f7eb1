import io
import os
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

os.environ["HF_HUB_OFFLINE"] = "1"
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # the training scripts are run from the repository's root

BUNDLED = ROOT / "vlmbench" / "bundled"


@pytest.fixture(scope="session")
def bundled() -> Path:
    return BUNDLED


@pytest.fixture(scope="session")
def clip():
    """tiny-clip with its tokenizer and image processor."""
    import torch
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    folder = BUNDLED / "models" / "tiny-clip"
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil", local_files_only=True)
    return model, AutoTokenizer.from_pretrained(folder, local_files_only=True), processor


@pytest.fixture(scope="session")
def read():
    """read(name, split, limit) -> rows of a bundled Parquet file, images decoded."""

    def rows(name: str, split: str, limit: int | None = None) -> list[dict]:
        table = pq.read_table(BUNDLED / "datasets" / name / f"{split}.parquet")
        found = table.slice(0, limit).to_pylist() if limit else table.to_pylist()
        for row in found:
            row["png"] = row["image"]["bytes"]
            row["image"] = Image.open(io.BytesIO(row["png"])).convert("RGB")
        return found

    return rows
