"""A dataset whose images are corrupted as they are read, and the shared decoding of several corruptions of it."""

from collections.abc import Sequence
from dataclasses import replace

from PIL.Image import Image

from vlmbench.data.base import Corrupted, Dataset, OpenDataset, Split
from vlmbench.data.corruptions.apply import corrupt
from vlmbench.data.corruptions.kinds import Corruption


def corrupted(split: Split, corruption: Corruption) -> Split:
    """The split with its images corrupted."""
    return replace(split, images=Corrupted(split.images, split.ids, corruption))


def corrupted_dataset(dataset: Dataset, corruption: Corruption) -> OpenDataset:
    """A dataset that is open, with the images of every split corrupted."""
    info = replace(dataset.info, notes=())  # what there is to know was said of the clean one
    return OpenDataset(info, lambda name: corrupted(dataset.split(name), corruption))


def clean(split: Split) -> tuple[Split, Corruption | None]:
    """The split with its images as they are stored, and what corrupts them."""
    images = split.images
    return (replace(split, images=images.images), images.corruption) if isinstance(images, Corrupted) else (split, None)


def versions(image: Image, corruptions: Sequence[Corruption | None], id: str) -> list[Image]:
    """A decoded image in each of several corruptions (None: as it is), each made once."""
    made = {one: image if one is None else corrupt(image, one, id) for one in dict.fromkeys(corruptions)}
    return [made[one] for one in corruptions]
