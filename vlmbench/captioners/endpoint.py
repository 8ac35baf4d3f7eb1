"""``endpoint:URL#MODEL``: captions from a server that speaks OpenAI's chat completions (vLLM, Ollama, SGLang, hosted
ones).

Each caption is handed on, and so kept, as soon as it arrives; what is kept is never asked for again. The key comes from
``VLMBENCH_API_KEY``, or ``OPENAI_API_KEY`` for OpenAI itself and for this machine; it is in no record and in no
message.
"""

import base64
import io
import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from PIL.Image import Image

from vlmbench.captioners.base import Decoding, Done, Example, Item, one_line
from vlmbench.captioners.calls import Caller, CallFailed
from vlmbench.captioners.families import DESCRIBE
from vlmbench.foundations.errors import AbsentError, UsageError, VlmbenchError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.seeds import derive_seed
from vlmbench.foundations.text import visible
from vlmbench.records.result import ModelFacts

FORM = "endpoint:http://127.0.0.1:8000/v1#MODEL"
_SECRET = re.compile(r"key|token|secret|sig|password|auth", re.IGNORECASE)
_LARGE = 4 * 1024 * 1024
_NEWER_LIMIT = "max_completion_tokens"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Endpoint:
    """A captioner behind an address.

    Args:
        rest: ``URL#MODEL``; a URL without a path means ``/v1``.
        options: how it decodes; the server does the decoding, so beams are not to be had.
        concurrency: calls at a time.
        timeout: seconds for one try.
        examples: worked examples, put before the image as earlier turns.
        tries: how often a call is tried.
        backoff: seconds before the second try at most, doubled for each further one.

    Raises:
        UsageError: no such form, credentials in the URL, or beams.
    """

    def __init__(
        self,
        rest: str,
        options: Decoding,
        *,
        concurrency: int = 8,
        timeout: float = 60.0,
        examples: Sequence[Example] = (),
        tries: int = 6,
        backoff: float = 0.5,
    ) -> None:
        url, _, self.model = rest.partition("#")
        self.address = _address(url, self.model)
        if options.num_beams > 1:
            raise UsageError("an endpoint has no beams", where="--num-beams", mend="leave it out")
        self.options = options
        self.examples = tuple(examples)
        self.concurrency = concurrency
        self.url = self.address.geturl().removesuffix("/chat/completions")
        key = _key(self.address.hostname or "")
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "vlmbench"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self.caller = Caller(self.address, headers, timeout, tries=tries, backoff=backoff, secret=key)
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
        """What is asked of the server."""
        shown = digest([[example.digest, example.caption] for example in self.examples])[:16] if self.examples else None
        return {**self.options.record(), "prompt": self.prompt, "examples": shown, "image": "png, jpeg 95 above 4 MiB"}

    @property
    def prompt(self) -> str:
        """The text beside the image."""
        return self.options.prompt if self.options.prompt is not None else DESCRIBE

    def stream(self, items: Iterable[Item]) -> Iterator[list[Done]]:
        """Captions as they arrive. When interrupted, calls that are under way are waited for and their captions handed
        on first.

        Raises:
            AbsentError: the server is not there, or knows neither key nor model.
        """
        fatal: BaseException | None = None
        waiting: set[Future[Done]] = set()
        source = iter(items)
        with ThreadPoolExecutor(self.concurrency, thread_name_prefix="endpoint") as pool:
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
        self._limit = _NEWER_LIMIT  # newer OpenAI models know no max_tokens
        return self.caller.post(lambda: self._body(item), self._read)

    def _fatal(self, error: CallFailed) -> VlmbenchError | None:
        """The error that ends the run: one that every other image would meet too."""
        where = f"endpoint:{self.url}#{visible(self.model)}"
        if error.status in (401, 403):
            return AbsentError(
                f"the endpoint wants another key: {error}", where=where, mend="export VLMBENCH_API_KEY=…"
            )
        if error.status == 404:
            return AbsentError(f"no such model or address: {error}", where=where, mend=f"the form is {FORM}")
        if not error.connected and not self._answered.is_set():
            return AbsentError(
                f"no server answers there: {error}", where=where, mend="start the server, or mend the URL"
            )
        return None

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
        """The caption in an answer."""
        try:
            content = answer["choices"][0]["message"]["content"]
            if isinstance(content, list):
                content = "".join(part["text"] for part in content if part.get("type") == "text")
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise CallFailed("the answer holds no choices[0].message.content", retry=True) from error
        if not isinstance(content, str) or not content.strip():
            raise CallFailed("the answer's caption is empty", retry=True)
        return content


def data_url(image: Image) -> str:
    """An image as a ``data:`` URL: PNG, or JPEG of quality 95 where that is above 4 MiB."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    kind = "png"
    if buffer.tell() > _LARGE:
        buffer, kind = io.BytesIO(), "jpeg"
        image.save(buffer, "JPEG", quality=95)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _address(url: str, model: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"not a URL: {error}", where="endpoint:…", mend=f"the form is {FORM}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not model or port == 0:
        raise UsageError("not an endpoint: URL and model are needed", where="endpoint:…", mend=f"the form is {FORM}")
    named = [name for name, _ in parse_qsl(parts.query)]
    if parts.username or parts.password or any(map(_SECRET.search, named)):
        raise UsageError(
            "credentials in a URL would end in records and logs",
            where=f"endpoint:{parts.scheme}://{parts.hostname}/…",
            mend="leave them out of the URL and export VLMBENCH_API_KEY",
        )
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path = f"{path or '/v1'}/chat/completions"
    return parts._replace(path=path, fragment="")


def _key(host: str) -> str | None:
    """The key for a host, from the environment."""
    key = os.environ.get("VLMBENCH_API_KEY")
    openai = host == "openai.com" or host.endswith((".openai.com", ".openai.azure.com"))
    if not key and (openai or host in LOOPBACK):
        key = os.environ.get("OPENAI_API_KEY")
    return key.strip() if key and key.strip() else None
