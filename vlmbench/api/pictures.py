"""Small pictures of a dataset's images for the report; what is not on this machine is left out."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vlmbench.foundations.errors import VlmbenchError

SIDE = 96
"""Pixels of the longer side."""


class Thumbnails:
    """The report's `Pictures`: opens each dataset once, and uses no network."""

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        self._splits: dict[tuple[str, str], Any] = {}

    def __call__(self, dataset: str, split: str, ids: Sequence[str]) -> Mapping[str, bytes]:
        """PNG or JPEG bytes by image id; an image that is not here (streamed, say) or is damaged is left out."""
        from vlmbench.hub.client import switched_off

        with switched_off():
            return self._made(self._open(dataset, split), ids)

    def _made(self, opened: Any, ids: Sequence[str]) -> dict[str, bytes]:
        from vlmbench.data.images import decode

        if opened is None:
            return {}
        places = {name: index for index, name in enumerate(opened.ids)}
        found = {}
        for name in ids:
            if name in places:
                try:
                    found[name] = thumbnail(decode(opened.images.read(places[name]), name))
                except VlmbenchError:
                    continue
        return found

    def _open(self, dataset: str, split: str) -> Any:
        """The split, or None where the dataset is not on this machine (a colleague's run, references from a file)."""
        key = (dataset, split)
        if key not in self._splits:
            from vlmbench.data.open import open_dataset
            from vlmbench.data.views.crops import shown

            try:
                self._splits[key] = shown(open_dataset(dataset, self._cache_dir), split)
            except VlmbenchError:
                self._splits[key] = None
        return self._splits[key]


def thumbnail(image: Any) -> bytes:
    """An RGB image with its longer side at `SIDE`: pixels of a tiny one stay visible; the smaller of PNG and JPEG."""
    from PIL import Image

    longer = max(image.size)
    size = [max(1, round(side * SIDE / longer)) for side in image.size]
    small = image.resize(size, Image.Resampling.NEAREST if longer <= SIDE // 2 else Image.Resampling.LANCZOS)
    forms = []
    for kind, options in (("PNG", {"optimize": True}), ("JPEG", {"quality": 80})):
        buffer = io.BytesIO()
        small.save(buffer, kind, **options)
        forms.append(buffer.getvalue())
    return min(forms, key=len)
