"""HTTP requests that always end: an overall deadline, retries with back-off, and no secrets in messages.

The exchange is httpx2's (the maintained successor of httpx, and what huggingface_hub depends on): pooled connections,
``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` with their credentials, ``NO_PROXY``. The policy is ours: what is
retried, and when to give up. Redirects are not followed, so that a key never goes to another host.
"""

import asyncio
import base64
import json
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

from vlmbench.captioners.base import Calls
from vlmbench.foundations.errors import UsageError
from vlmbench.foundations.text import visible

if TYPE_CHECKING:
    import httpx2

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
LONGEST_ANSWER = 8 * 1024 * 1024
LONGEST_PAUSE = 120.0
"""Longest wait that a server may request, in seconds; if it requests more, the run ends."""
_SHORTEST_SECRET = 8
"""Shortest key that is treated as a secret, in characters; shorter ones (``EMPTY``, ``ollama``) are placeholders."""


class CallFailed(Exception):
    """A call that failed.

    Attributes:
        status: the HTTP status; None: there was no valid response.
        retry: whether a retry may help.
        after: seconds the server asks to wait.
        connected: whether a connection was made.
    """

    def __init__(
        self, why: str, *, status: int | None = None, retry: bool, after: float | None = None, connected: bool = True
    ) -> None:
        super().__init__(why)
        self.status = status
        self.retry = retry
        self.after = after
        self.connected = connected


@dataclass
class Caller:
    """Posts JSON to one address; a context manager that keeps connections open between calls. Raises `UsageError` where
    a proxy in the environment is not a valid address.

    Attributes:
        address: the URL.
        headers: sent with every call, ASCII.
        calls: timeout and attempts; the pause before each retry is doubled up to 30 s (full jitter).
        secret: replaced by ``***`` wherever a response repeats it, as are the proxy's credentials.
    """

    address: str
    headers: dict[str, str] = field(repr=False)
    calls: Calls
    secret: str | None = field(default=None, repr=False)
    stop: threading.Event = field(default_factory=threading.Event)
    _quiet_until: float = 0.0
    _jitter: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._secrets = sorted({*([self.secret] if self.secret else []), *_proxy_secrets()}, key=len, reverse=True)
        self._client = self._new_client()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> "Caller":
        if self._client.is_closed:
            self._client = self._new_client()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="calls", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        loop, self._loop = self._loop, None
        if loop is None:
            return
        with suppress(TimeoutError):  # a connection that hangs on closing
            asyncio.run_coroutine_threadsafe(self._client.aclose(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()

    def post(self, body: Callable[[], dict[str, Any]], read: Callable[[Any], str]) -> str:
        """Posts `body` and passes the JSON response to `read` until that returns a text; secrets in it are masked.
        Raises `CallFailed` where every attempt failed, or a retry would not help. `body` gives the JSON object to send,
        before each attempt."""
        for attempt in range(1, self.calls.tries + 1):
            self._wait_for_quiet()
            try:
                return self._without_secrets(read(self._once(json.dumps(body()).encode())), _SHORTEST_SECRET)
            except CallFailed as error:
                if not error.retry:
                    raise
                if attempt == self.calls.tries or self.stop.is_set():
                    error.args = (f"{error} (attempt {attempt} of {self.calls.tries})",)
                    raise
                self._back_off(attempt, error)
        raise AssertionError("unreachable")

    def _back_off(self, attempt: int, error: CallFailed) -> None:
        delay = self._jitter.uniform(0, min(30.0, self.calls.backoff * 2 ** (attempt - 1)))
        if error.after is not None:
            delay += error.after
            self._quiet_until = max(self._quiet_until, time.monotonic() + error.after)
        self.stop.wait(delay)

    def _wait_for_quiet(self) -> None:
        """If a server asks one call to wait, all of them wait."""
        pause = self._quiet_until - time.monotonic()
        if pause > 0:
            self.stop.wait(pause)

    def _once(self, data: bytes) -> Any:
        import httpx2

        if self._loop is None:
            raise RuntimeError("a Caller is used inside its with statement")
        try:
            status, headers, body = asyncio.run_coroutine_threadsafe(self._exchange(data), self._loop).result()
        except TimeoutError as error:
            raise CallFailed(f"no complete response within {self.calls.timeout:g} s", retry=True) from error
        except (httpx2.HTTPError, OSError, UnicodeError) as error:  # UnicodeError: an invalid host name
            absent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError | UnicodeError)
            why = self._clean(f"{type(error).__name__}: {error}") + (self._by_proxy() if absent else "")
            raise CallFailed(why, retry=True, connected=not absent) from error
        if status != 200:
            raise self._refused(status, headers, body)
        if len(body) > LONGEST_ANSWER:
            raise CallFailed("the response is larger than 8 MiB", retry=False)
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise CallFailed("the response is not JSON", retry=True) from error

    async def _exchange(self, data: bytes) -> "tuple[int, httpx2.Headers, bytes]":
        """Status, headers and body, the raw body, truncated beyond `LONGEST_ANSWER`."""
        async with (
            asyncio.timeout(self.calls.timeout),
            self._client.stream("POST", self.address, content=data, headers=self.headers) as response,
        ):
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) > LONGEST_ANSWER:
                    break
            return response.status_code, response.headers, bytes(body)

    def _refused(self, status: int, headers: "httpx2.Headers", body: bytes) -> CallFailed:
        text = self._clean(" ".join(body.decode("utf-8", "replace").split()))
        if 300 <= status < 400:
            text = f"a redirect to {self._clean(headers.get('Location', 'nowhere'))}, which is not followed"
        after = retry_after(headers.get("Retry-After"))
        patient = after is None or after <= LONGEST_PAUSE
        return CallFailed(
            f"the server answered {status}" + (f": {text}" if text else "") + self._by_proxy() * (status == 407),
            status=status,
            retry=status in RETRIED and patient,
            after=after if status in RETRIED else None,
        )

    def _new_client(self) -> "httpx2.AsyncClient":
        import httpx2

        # Connecting gets at most half of the time, to distinguish a host that does not respond from a slow response.
        timeout = httpx2.Timeout(None, connect=min(30.0, self.calls.timeout / 2))
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        try:
            return httpx2.AsyncClient(timeout=timeout, limits=limits)
        except (ValueError, ImportError, httpx2.InvalidURL) as error:
            raise UsageError(
                "a proxy in the environment cannot be used: " + self._without_secrets(str(error)),
                where="HTTP_PROXY, HTTPS_PROXY or ALL_PROXY",
                fix="give it as http://host:port, with http://name:password@host:port where it asks for them"
                if not isinstance(error, ImportError)
                else "pip install socksio, which SOCKS proxies need",
            ) from None

    def _by_proxy(self) -> str:
        """A note that a proxy may be the reason."""
        proxies = getproxies()
        proxy = proxies.get(urlsplit(self.address).scheme) or proxies.get("all")
        if not proxy:
            return ""
        host = self._clean(proxy.rpartition("://")[2].rpartition("@")[2])
        return f" (the environment sets the proxy {host}; list hosts to reach without it in NO_PROXY)"

    def _clean(self, text: str) -> str:
        """`text` without secrets, in one line of 300 characters at most."""
        return visible(self._without_secrets(text)[:300])

    def _without_secrets(self, text: str, shortest: int = 1) -> str:
        for secret in self._secrets:
            if len(secret) >= shortest:
                text = text.replace(secret, "***")
        return text


def _proxy_secrets() -> set[str]:
    """Passwords of the environment's proxies, as written, decoded, and as they are sent."""
    found = set()
    for proxy in getproxies().values():
        user, has_credentials, _ = proxy.rpartition("://")[2].rpartition("@")
        name, has_password, password = user.partition(":")
        if has_credentials and has_password and password:
            sent = f"{unquote(name)}:{unquote(password)}".encode()
            found |= {password, unquote(password), base64.b64encode(sent).decode()}
    return found


def retry_after(value: str | None) -> float | None:
    """Seconds from a ``Retry-After`` header, which holds seconds or a date (RFC 9110); None if absent or invalid."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass  # then it is a date
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
