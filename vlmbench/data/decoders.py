"""Processes that decode and resize images: on many cores, threads would wait for one another's interpreter lock.

A process is the program of this module, a new interpreter that loads Pillow and NumPy alone: nothing is forked (torch's
threads and a GPU's context would not survive that), the caller's ``__main__`` is not run again, and it works alike on
Linux, macOS and Windows. Requests and answers go through its standard streams: a line of JSON, then the bytes. On Linux
pixels come back in shared memory instead, so that the caller's threads, which read them, seldom need the interpreter
lock: its main thread gives a GPU its work. The process ends when its input does, so none outlives the one that started
it, however that one ends.

An image that is a file is read there; others by the caller, whose connections and caches they may come from.
"""

import json
import mmap
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from vlmbench.data.corrupted import versions
from vlmbench.data.corruptions.kinds import Corruption
from vlmbench.data.images import BadImage, Raw, decode, read_image
from vlmbench.data.resizing import Resizing
from vlmbench.foundations.errors import InputError

_START = "import sys; sys.path[:] = {path!r}; from vlmbench.data.decoders import serve; serve()"

Source = Raw | Path
"""What is decoded: an image's bytes, its pixels, or its file."""

Step = tuple[Corruption | None, Resizing]
"""What is made of a decoded image."""


class Decoder:
    """A process that decodes images, `most` at once, and makes `steps` of each; for one thread at a time."""

    def __init__(self, steps: Sequence[Step], most: int) -> None:
        self._shapes = [item.shape for _, item in steps]
        self._shared = Shared.new(most * sum(map(prod, self._shapes)))
        fd = self._shared.fd if self._shared is not None else -1
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(fd,) if fd >= 0 else (),
        )
        size = self._shared.size if self._shared is not None else 0
        made = [[str(corruption or ""), item.to_json()] for corruption, item in steps]
        _write(self._input, {"steps": made, "fd": fd, "size": size})

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101
        return self._process.stdin

    @property
    def _output(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101
        return self._process.stdout

    def decode(self, images: Sequence[tuple[Source, str]]) -> tuple[list[list[np.ndarray] | BadImage], float, float]:
        """Images and their names; for each what each step makes of it, [3, H, W] uint8, or why it is damaged; and the
        seconds that reading and decoding, and resizing took.

        Raises `InputError` where the process was ended (as it is where memory runs out), `RuntimeError` with its
        traceback where it failed.
        """
        try:
            bodies = [source for source, _ in images if not isinstance(source, Path)]
            _write(self._input, [_facts(source, name) for source, name in images], bodies)
            answer = _read(self._output)
            if answer is None:
                raise EOFError
            if "fault" in answer:
                raise RuntimeError(answer["fault"])
            good = sum(error is None for error in answer["errors"])
            pixels, start = [], 0
            for shape in self._shapes:
                values = np.empty((good, *shape), np.uint8)
                if self._shared is None:
                    _fill(self._output, values)
                else:
                    np.copyto(values, self._shared.array(start, values.shape))
                pixels.append(values)
                start += values.size
            rows = iter(zip(*pixels, strict=True))
            return (
                [BadImage(**error) if error is not None else list(next(rows)) for error in answer["errors"]],
                answer["decode"],
                answer["preprocess"],
            )
        except (OSError, EOFError) as error:
            raise InputError(
                f"a process that decodes images was ended (status {self._process.wait()}); that happens where memory "
                "runs out",
                where=images[0][1],
                fix="fewer --workers",
            ) from error

    def close(self) -> None:
        """Ends the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for stream in (self._input, self._output):
            with suppress(OSError):  # what was not sent yet cannot be
                stream.close()
        if self._shared is not None:
            os.close(self._shared.fd)
            self._shared = None


class Shared:
    """Anonymous memory that two processes see, by its file descriptor (Linux; needs no /dev/shm)."""

    def __init__(self, fd: int, size: int) -> None:
        self.fd, self.size, self._memory = fd, size, mmap.mmap(fd, size)

    @classmethod
    def new(cls, size: int) -> "Shared | None":
        """So many bytes of it; none where the system has no such memory."""
        if not hasattr(os, "memfd_create"):
            return None
        fd = os.memfd_create("vlmbench-pixels")
        os.ftruncate(fd, size)
        return cls(fd, size)

    def array(self, start: int, shape: tuple[int, ...]) -> np.ndarray:
        """A part of it, uint8."""
        return np.frombuffer(self._memory, np.uint8, prod(shape), start).reshape(shape)


def serve() -> None:
    """What the process does: answers requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the process that started this one
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints, prints to stderr
    with suppress(BrokenPipeError, EOFError):  # the process that started this one has ended
        facts = _read(source)
        steps = [_step(*item) for item in facts["steps"]] if facts else []
        shared = Shared(facts["fd"], facts["size"]) if facts and facts["fd"] >= 0 else None
        while (items := _read(source)) is not None:
            sources = [_source(source, item) for item in items]
            try:
                answer, pixels = _answer(items, sources, steps)
            except Exception:
                answer, pixels = {"fault": traceback.format_exc()}, []
            if shared is not None:
                start = 0
                for values in pixels:
                    shared.array(start, values.shape)[:] = values
                    start += values.size
            _write(sink, answer, pixels if shared is None else ())
    os._exit(0)


def _answer(items: Any, sources: Sequence[Source], steps: Sequence[Step]) -> tuple[dict[str, Any], list[np.ndarray]]:
    """What is said of the images, and the pixels of the good ones: all of the first step, then of the next."""
    errors: list[dict[str, Any] | None] = []
    pixels: list[list[np.ndarray]] = [[] for _ in steps]
    seconds = [0.0, 0.0]
    for item, source in zip(items, sources, strict=True):
        begun = time.perf_counter()
        try:
            image = decode(read_image(source) if isinstance(source, Path) else source, item["name"])
        except BadImage as error:
            errors.append({"what": error.what, "where": error.where, "fix": error.fix})
            continue
        decoded = time.perf_counter()
        seen = versions(image, [corruption for corruption, _ in steps], item["name"])
        for made, one, (_, resizing) in zip(pixels, seen, steps, strict=True):
            made.append(resizing(one))
        errors.append(None)
        seconds[0] += decoded - begun
        seconds[1] += time.perf_counter() - decoded
    return {"errors": errors, "decode": seconds[0], "preprocess": seconds[1]}, [one for made in pixels for one in made]


def _step(corruption: str, resizing: dict[str, Any]) -> Step:
    return Corruption.parse(corruption, "") if corruption else None, Resizing.from_json(resizing)


def _facts(source: Source, name: str) -> dict[str, Any]:
    if isinstance(source, Path):
        return {"name": name, "path": str(source)}
    if isinstance(source, np.ndarray):
        return {"name": name, "shape": list(source.shape)}
    return {"name": name, "size": len(source)}


def _source(stream: IO[bytes], item: dict[str, Any]) -> Source:
    if "path" in item:
        return Path(item["path"])
    if "size" in item:
        found = bytearray(item["size"])
        _fill(stream, found)
        return bytes(found)
    pixels = np.empty(item["shape"], np.uint8)
    _fill(stream, pixels)
    return pixels


def _write(sink: IO[bytes], facts: Any, bodies: Sequence[Raw] = ()) -> None:
    sink.write(json.dumps(facts).encode() + b"\n")
    for body in bodies:
        sink.write(np.ascontiguousarray(body).data if isinstance(body, np.ndarray) else body)
    sink.flush()


def _read(source: IO[bytes]) -> Any:
    """The next line's JSON; none at the end."""
    line = source.readline()
    return json.loads(line) if line.endswith(b"\n") else None


def _fill(source: IO[bytes], values: np.ndarray | bytearray) -> None:
    view = memoryview(values.data if isinstance(values, np.ndarray) else values).cast("B")
    if source.readinto(view) != len(view):  # type: ignore[attr-defined]
        raise EOFError
