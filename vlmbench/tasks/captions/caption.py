"""``caption``: captions of image files or of a dataset by each captioner, written as COCO results JSON."""

from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vlmbench.captioners.base import Captioning
from vlmbench.captioners.names import CaptionerRef
from vlmbench.data.base import Split
from vlmbench.data.images import is_image
from vlmbench.data.local.folder import Files
from vlmbench.foundations.atomic import require_writable
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.paths import is_there, named_file
from vlmbench.foundations.text import visible
from vlmbench.records.store import natural
from vlmbench.session.context import Context
from vlmbench.session.session import Session
from vlmbench.tasks.captions.captioners import captioner_in
from vlmbench.tasks.captions.captioning import Captions, caption_images, write_coco_results
from vlmbench.tasks.captions.dataset import caption_dataset

FILES = "files"
"""The dataset's name if image files are captioned."""


@dataclass(frozen=True)
class CaptionRequest:
    """A ``vlmbench caption`` request: captions of image files or of a dataset, by each captioner."""

    captioners: Sequence[CaptionerRef]
    images: Sequence[Path] = ()
    """Image files, and directories of them."""
    dataset: str | None = None
    split: str | None = None
    """None: test, else the only one."""
    limit: int | None = None
    """N randomly sampled images; None: all."""
    how: Captioning = field(default_factory=Captioning)


def run_caption(request: CaptionRequest, context: Context) -> list[tuple[Captions, Path]]:
    """Captions by each captioner, written as COCO results JSON.

    Raises:
        UsageError: both files and a dataset, or neither.
        OutputError: the captions cannot be written.
    """
    if bool(request.images) == (request.dataset is not None):
        raise UsageError(
            "give image files, or a dataset with -d", where="IMAGES", fix="vlmbench caption -m MODEL cat.jpg"
        )
    require_writable(context.out)
    session = Session(context)
    found = []
    with closing(context.pool) if context.pool is not None else nullcontext():
        for ref in request.captioners:
            if request.dataset is None:
                captions = caption_files(session, ref, request.images, request.how)
            else:
                captions = caption_dataset(session, ref, request.dataset, request.split, request.limit, request.how)
            found.append((captions, write_coco_results(context.out, captions)))
    return found


def caption_files(session: Session, ref: CaptionerRef, paths: Sequence[Path], how: Captioning) -> Captions:
    """Generates captions for image files, and for every image below directories.

    Raises:
        AbsentError: a path does not exist.
        InputError: a directory contains no image.
    """
    names = tuple(dict.fromkeys(str(file) for path in paths for file in _images(path)))
    split = Split(FILES, names, np.zeros(len(names), np.int64), Files(Path(), names))
    return caption_images(session.context, captioner_in(session, ref, how), split, FILES, None, how.on_failure)


def _images(path: Path) -> list[Path]:
    if is_there(path, directory=True):
        found = sorted((file for file in path.rglob("*") if is_image(file.name)), key=lambda f: natural(str(f)))
        if not found:
            raise InputError(f"no image below {visible(str(path))}", where=str(path), fix="name image files")
        return found
    return [named_file(path)]
