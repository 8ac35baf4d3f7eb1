"""Captioning in batches, which shrink when memory runs out; one failed image does not affect the others."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from vlmbench.captioners.base import CaptionFailed, Done, Item
from vlmbench.foundations.errors import VlmbenchError, out_of_memory
from vlmbench.foundations.text import visible

Make = Callable[[Sequence[Item]], list[str]]
"""One caption per item; may raise `CaptionFailed`."""


@dataclass
class Batcher:
    """Runs a function that captions batches, and remembers the size that fits; warns when that is halved."""

    make: Make
    size: int
    warn: Callable[[str], None]

    def stream(self, items: Iterable[Item]) -> Iterator[list[Done]]:
        """Captions for `items`, a batch at a time, in order; at most one batch of images is in memory."""
        window: list[Item] = []
        for item in items:
            window.append(item)
            if len(window) >= self.size:
                yield from self.run(window)
                window = []
        yield from self.run(window)

    def run(self, items: Sequence[Item]) -> Iterator[list[Done]]:
        """Captions for `items`, a batch at a time, in order. Raises `VlmbenchError` for a problem of the model, not of
        one image."""
        start = 0
        while start < len(items):
            batch = items[start : start + self.size]
            try:
                captions = self.make(batch)
            except CaptionFailed as error:
                yield [Done(batch[0], None, error.what)] if len(batch) == 1 else self._one_by_one(batch)
            except VlmbenchError:
                raise
            except Exception as error:
                if out_of_memory(error):
                    if self._shrink(len(batch)):
                        continue
                    yield [Done(batch[0], None, "out of memory on this single image")]
                elif len(batch) == 1:
                    yield [Done(batch[0], None, visible(f"{type(error).__name__}: {error}"))]
                else:
                    yield self._one_by_one(batch)
            else:
                yield [Done(item, text) for item, text in zip(batch, captions, strict=True)]
            start += len(batch)

    def _one_by_one(self, batch: Sequence[Item]) -> list[Done]:
        """Finds the failing image; the others get their captions."""
        single = Batcher(self.make, 1, self.warn)
        return [done for item in batch for dones in single.run([item]) for done in dones]

    def _shrink(self, failed: int) -> bool:
        if failed == 1:
            return False
        self.size = max(1, failed // 2)
        free_memory()
        self.warn(f"out of memory with a batch of {failed} images; continuing with {self.size}")
        return True


def free_memory() -> None:
    """Frees the device's cached blocks."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
