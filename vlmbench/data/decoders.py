"""Processes that decode and resize images: on many cores, threads would wait for one another's interpreter lock.

A process is the program of this module, a new interpreter that loads Pillow and NumPy alone: nothing is forked (torch's
threads and a GPU's context would not survive that), the caller's ``__main__`` is not run again, and it works alike on
Linux, macOS and Windows. Requests and answers go through its standard streams: a line of JSON, then the bytes. It ends
when its input does, so none outlives the process that started it, however that one ends.

The images' files are read by the caller, whose connections and caches they may come from.
"""

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

import numpy as np

from vlmbench.data.images import BadImage, Raw, decode
from vlmbench.data.resizing import Resizing
from vlmbench.foundations.errors import InputError

_START = "import sys; sys.path[:] = {path!r}; from vlmbench.data.decoders import serve; serve()"
_PIPE = 1 << 20
"""Bytes that a pipe holds (Linux): eight images' pixels are handed over in two pieces, not in twenty."""


class Decoder:
    """A process that decodes images and makes `resizings` of each; for one thread at a time."""

    def __init__(self, resizings: Sequence[Resizing]) -> None:
        self._resizings = resizings
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START.format(path=sys.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for pipe in (self._input, self._output):
            _widen(pipe)
        _write(self._input, [item.to_json() for item in resizings])

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101
        return self._process.stdin

    @property
    def _output(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101
        return self._process.stdout

    def decode(self, images: Sequence[tuple[Raw, str]]) -> tuple[list[list[np.ndarray] | BadImage], float, float]:
        """Images and their names; for each what each resizing makes of it, [3, H, W] uint8, or why it is damaged.

        Returns:
            Those, and the seconds that decoding and resizing took.

        Raises:
            InputError: the process was ended, as it is where memory runs out.
            RuntimeError: it failed otherwise; its traceback is the message.
        """
        try:
            _write(self._input, [_facts(raw, name) for raw, name in images], [raw for raw, _ in images])
            answer = _read(self._output)
            if answer is None:
                raise EOFError
            if "fault" in answer:
                raise RuntimeError(answer["fault"])
            found: list[list[np.ndarray] | BadImage] = []
            for error in answer["errors"]:
                if error is not None:
                    found.append(BadImage(error["what"], where=error["where"], fix=error["fix"]))
                    continue
                pixels = [np.empty(item.shape, np.uint8) for item in self._resizings]
                for values in pixels:
                    _fill(self._output, values)
                found.append(pixels)
            return found, answer["decode"], answer["preprocess"]
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


def serve() -> None:
    """What the process does: answers requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the process that started this one
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints, prints to stderr
    resizings = [Resizing.from_json(item) for item in _read(source) or []]
    with suppress(BrokenPipeError, EOFError):  # the process that started this one has ended
        while (items := _read(source)) is not None:
            raws = [_raw(source, item) for item in items]
            try:
                answer, pixels = _answer(items, raws, resizings)
            except Exception:
                answer, pixels = {"fault": traceback.format_exc()}, []
            _write(sink, answer, pixels)
    os._exit(0)


def _answer(items: Any, raws: Sequence[Raw], resizings: Sequence[Resizing]) -> tuple[dict[str, Any], list[np.ndarray]]:
    errors: list[dict[str, Any] | None] = []
    pixels: list[np.ndarray] = []
    seconds = [0.0, 0.0]
    for item, raw in zip(items, raws, strict=True):
        begun = time.perf_counter()
        try:
            image = decode(raw, item["name"])
        except BadImage as error:
            errors.append({"what": error.what, "where": error.where, "fix": error.fix})
            continue
        decoded = time.perf_counter()
        pixels += [resizing(image) for resizing in resizings]
        errors.append(None)
        seconds[0] += decoded - begun
        seconds[1] += time.perf_counter() - decoded
    return {"errors": errors, "decode": seconds[0], "preprocess": seconds[1]}, pixels


def _facts(raw: Raw, name: str) -> dict[str, Any]:
    return {"name": name, "shape": list(raw.shape)} if isinstance(raw, np.ndarray) else {"name": name, "size": len(raw)}


def _raw(source: IO[bytes], item: dict[str, Any]) -> Raw:
    if "size" in item:
        found = bytearray(item["size"])
        _fill(source, found)
        return bytes(found)
    pixels = np.empty(item["shape"], np.uint8)
    _fill(source, pixels)
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


def _widen(stream: IO[bytes]) -> None:
    with suppress(ImportError, OSError):  # not Linux, or more than this user may have
        from fcntl import F_SETPIPE_SZ, fcntl  # type: ignore[attr-defined, unused-ignore]

        fcntl(stream, F_SETPIPE_SZ, _PIPE)
