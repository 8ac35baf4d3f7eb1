"""``endpoint:URL#MODEL``: captions from a server that speaks OpenAI's chat completions (vLLM, Ollama, SGLang, hosted
ones).

Each caption is passed on, and so stored, as soon as it arrives; stored captions are never requested again. The key is
``VLMBENCH_API_KEY``, or ``OPENAI_API_KEY`` for OpenAI itself and for this machine; it never appears in a record or
message.
"""

import base64
import io
import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import SplitResult, parse_qsl, urlsplit

from PIL.Image import Image

from vlmbench.captioners.base import Calls, Captioner, Decoding, Done, Example, Item, Setup, examples_key, one_line
from vlmbench.captioners.calls import LONGEST_PAUSE, Caller, CallFailed
from vlmbench.captioners.families import DESCRIBE
from vlmbench.captioners.names import CaptionerKind
from vlmbench.foundations.errors import AbsentError, UsageError, VlmbenchError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.seeds import derive_seed
from vlmbench.foundations.text import visible
from vlmbench.records.result import ModelFacts

FORM = "endpoint:http://127.0.0.1:8000/v1#MODEL"
_SECRET = re.compile(r"key|token|secret|sig|password|auth", re.IGNORECASE)
_KEY = re.compile("[!-~]+")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_LARGE = 4 * 1024 * 1024
_LONGEST_CAPTION = 65_536
_NEWER_LIMIT = "max_completion_tokens"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Address:
    """``URL#MODEL`` as the user gave it, and the URL to post to; a URL without a path means ``/v1``."""

    url: str
    model: str
    post: SplitResult

    @classmethod
    def parse(cls, text: str) -> Self:
        """The parts of the name; `UsageError` for another format, or for credentials in the URL, which the message does
        not repeat."""
        url, _, model = text.partition("#")
        return cls(url, model, _address(url, model))

    def __str__(self) -> str:
        return f"{self.url}#{self.model}"


class Endpoint:
    """A captioner on a server. Raises `UsageError` for beam search, or a key or proxy that cannot be sent. The server
    does the decoding, so there is no beam search; few-shot examples are put before the image as earlier turns."""

    def __init__(
        self, name: Address, decoding: Decoding, calls: Calls | None = None, examples: Sequence[Example] = ()
    ) -> None:
        if decoding.num_beams > 1:
            raise UsageError("an endpoint has no beam search", where="--num-beams", fix="leave it out")
        calls = calls or Calls()
        self.address, self.model = name.post, name.model
        self.options = decoding
        self.examples = tuple(examples)
        self.concurrency = calls.concurrency
        self.url = self.address.geturl().removesuffix("/chat/completions")
        key = _key(self.address.hostname or "")
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "vlmbench"}
        headers["Accept-Encoding"] = "identity"  # no compressed responses that expand in memory
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self.caller = Caller(self.address.geturl(), headers, calls, secret=key)
        self._limit = "max_tokens"
        self._answered = threading.Event()

    @property
    def system(self) -> str:
        """The model's name."""
        return self.model

    @property
    def facts(self) -> ModelFacts:
        """Its address and name; the weights cannot be known, so the hash is that of address and name."""
        id = f"endpoint:{self.url}#{self.model}"
        return ModelFacts(id=id, weights_sha256=digest(["endpoint", self.url, self.model]), kind="endpoint")

    @property
    def decoding(self) -> dict[str, Any]:
        """What is requested from the server."""
        image, examples = "png, jpeg 95 above 4 MiB", examples_key(self.examples)
        return {**self.options.record(), "prompt": self.prompt, "examples": examples, "image": image}

    @property
    def prompt(self) -> str:
        """The text next to the image."""
        return self.options.prompt if self.options.prompt is not None else DESCRIBE

    def stream(self, items: Iterable[Item]) -> Iterator[list[Done]]:
        """Captions as they arrive. On interruption, calls in progress are awaited and their captions passed on first.
        Raises `AbsentError` where the server does not respond, rejects key or model, redirects, or requests a long
        wait."""
        fatal: BaseException | None = None
        waiting: set[Future[Done]] = set()
        source = iter(items)
        with self.caller, ThreadPoolExecutor(self.concurrency, thread_name_prefix="endpoint") as pool:
            try:
                while True:
                    try:
                        while fatal is None and len(waiting) < self.concurrency:
                            item = next(source, None)
                            if item is None:
                                break
                            waiting.add(pool.submit(self._caption, item))
                        if not waiting:
                            break
                        finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    except KeyboardInterrupt as error:
                        if fatal is not None:
                            raise
                        fatal = error
                        self.caller.stop.set()
                        continue
                    for future in finished:
                        failure = future.exception()
                        if failure is None:
                            yield [future.result()]
                        elif fatal is None:
                            fatal = failure
                            self.caller.stop.set()
            finally:
                self.caller.stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                self.caller.stop.clear()
        if fatal is not None:
            raise fatal

    def _caption(self, item: Item) -> Done:
        try:
            text = self._ask(item)
        except CallFailed as error:
            if (fatal := self._fatal(error)) is not None:
                raise fatal from error
            return Done(item, None, str(error))
        self._answered.set()
        return Done(item, one_line(text))

    def _ask(self, item: Item) -> str:
        try:
            return self.caller.post(lambda: self._body(item), self._read)
        except CallFailed as error:
            if error.status != 400 or _NEWER_LIMIT not in str(error) or self._limit == _NEWER_LIMIT:
                raise
        self._limit = _NEWER_LIMIT  # newer OpenAI models have no max_tokens
        return self.caller.post(lambda: self._body(item), self._read)

    def _fatal(self, error: CallFailed) -> VlmbenchError | None:
        """The error that ends the run: one that would affect every other image too."""
        status, after = error.status or 0, error.after or 0.0
        if status in (401, 403):
            what, fix = f"the endpoint rejects the key: {error}", "export VLMBENCH_API_KEY=…"
        elif 300 <= status < 400:
            what, fix = f"{error}", "use the address that it redirects to, if you trust it"
        elif status == 407:
            what, fix = f"{error}", "give the proxy as http://name:password@host:port in HTTP(S)_PROXY"
        elif after > LONGEST_PAUSE:
            what = f"the endpoint requests a wait of {after:,.0f} s: {error}"
            fix = "run the same command again later; the captions made so far are stored"
        elif status == 404:
            what, fix = f"no such model or address: {error}", f"the format is {FORM}"
        elif not error.connected and not self._answered.is_set():
            what, fix = f"no server responds: {error}", "start the server, or fix the URL"
        else:
            return None
        return AbsentError(what, where=f"endpoint:{self.url}#{visible(self.model)}", fix=fix)

    def _body(self, item: Item) -> dict[str, Any]:
        messages: list[dict[str, Any]] = []
        for example in self.examples:
            messages += [self._turn(example.image), {"role": "assistant", "content": example.caption}]
        body = {
            "model": self.model,
            "messages": [*messages, self._turn(item.image)],
            self._limit: self.options.max_new_tokens,
            "temperature": self.options.temperature,
            "stream": False,
        }
        if self.options.temperature > 0:
            body["seed"] = derive_seed(self.options.seed, "caption", item.digest) % 2**31
        return body

    def _turn(self, image: Image) -> dict[str, Any]:
        picture = {"type": "image_url", "image_url": {"url": data_url(image)}}
        return {"role": "user", "content": [picture, {"type": "text", "text": self.prompt}]}

    def _read(self, answer: Any) -> str:
        """The caption in a response."""
        try:
            content = answer["choices"][0]["message"]["content"]
            if isinstance(content, list):
                content = "".join(part["text"] for part in content if part.get("type") == "text")
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise CallFailed("the response has no choices[0].message.content", retry=True) from error
        if not isinstance(content, str) or not content.strip():
            raise CallFailed("the caption in the response is empty", retry=True)
        if len(content) > _LONGEST_CAPTION:
            raise CallFailed(f"a caption of {len(content):,} characters", retry=False)
        return content


def data_url(image: Image) -> str:
    """An image as a ``data:`` URL: PNG, or JPEG of quality 95 if that exceeds 4 MiB."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    kind = "png"
    if buffer.tell() > _LARGE:
        buffer, kind = io.BytesIO(), "jpeg"
        image.save(buffer, "JPEG", quality=95)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _address(url: str, model: str) -> SplitResult:
    """The address to post to; `UsageError` where `url` is not a valid one, or contains credentials."""
    import httpx2

    wrong = UsageError("not an endpoint: it needs a URL and a model", where="endpoint:…", fix=f"the format is {FORM}")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = httpx2.URL(url).raw_host.decode("ascii")
    except (ValueError, httpx2.InvalidURL) as error:
        raise UsageError(f"not a URL: {visible(str(error))}", where="endpoint:…", fix=wrong.fix) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not model or port == 0:
        raise wrong
    named = [name for name, _ in parse_qsl(parts.query)]
    if parts.username or parts.password or any(map(_SECRET.search, named)):
        raise UsageError(
            "credentials in a URL would end up in records and logs",
            where=f"endpoint:{parts.scheme}://{visible(parts.hostname)}/…",
            fix="remove them from the URL and export VLMBENCH_API_KEY",
        )
    if ":" not in host and not all(map(_LABEL.fullmatch, host.removesuffix(".").split("."))):
        raise UsageError(f"not a host name: {visible(parts.hostname)}", where="endpoint:…", fix=wrong.fix)
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path = f"{path or '/v1'}/chat/completions"
    shown = f"[{host}]" if ":" in host else host  # as sent: non-ASCII letters in IDNA form
    return parts._replace(netloc=shown if port is None else f"{shown}:{port}", path=path, fragment="")


def _key(host: str) -> str | None:
    """The key for a host, from the environment; `UsageError` where it cannot be sent."""
    name, key = "VLMBENCH_API_KEY", os.environ.get("VLMBENCH_API_KEY", "").strip()
    openai = host == "openai.com" or host.endswith((".openai.com", ".openai.azure.com"))
    if not key and (openai or host in LOOPBACK):
        name, key = "OPENAI_API_KEY", os.environ.get("OPENAI_API_KEY", "").strip()
    if key and not _KEY.fullmatch(key):
        raise UsageError(
            "the key contains white space or characters beyond ASCII and cannot be sent",
            where=name,
            fix=f"export only the key: export {name}=…",
        )
    return key or None


def _open(name: Address, setup: Setup) -> Captioner:
    captioner = Endpoint(name, setup.decoding, setup.calls, setup.examples())
    if setup.offline and captioner.address.hostname not in LOOPBACK:
        where = visible(f"endpoint:{name}")
        raise UsageError("--offline forbids calling an endpoint", where=where, fix="leave out --offline")
    return captioner


KIND = CaptionerKind(name="endpoint", open=_open, parse=Address.parse, calls=True)
