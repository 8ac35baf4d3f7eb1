"""One HTTP call that ends: a deadline for the whole of it, retries with back-off, and no secret in what it says.

Standard library only. Redirects are not followed, so that a key never goes to another host; ``HTTPS_PROXY``,
``HTTP_PROXY`` and ``NO_PROXY`` are honoured.
"""

import http.client
import json
import random
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import SplitResult

from vlmbench.foundations.text import visible

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
LONGEST_ANSWER = 8 * 1024 * 1024
LONGEST_PAUSE = 120.0


class CallFailed(Exception):
    """A call that failed.

    Attributes:
        status: the server's answer; none: there was no answer, or it was rubbish.
        retry: whether another try may help.
        after: seconds the server asks to wait.
        connected: whether a server was there at all.
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
    """Posts JSON to one address.

    Attributes:
        address: where to.
        headers: sent with every call.
        timeout: seconds for one try, from connecting to the last byte.
        tries: how often a call is tried.
        backoff: seconds before the second try at most; doubled for each further one, up to 30 (full jitter).
        secret: replaced by ``***`` wherever an answer repeats it.
    """

    address: SplitResult
    headers: dict[str, str]
    timeout: float
    tries: int = 6
    backoff: float = 0.5
    secret: str | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    _quiet_until: float = 0.0
    _jitter: random.Random = field(default_factory=random.Random)

    def post(self, body: Callable[[], dict[str, Any]], read: Callable[[Any], str]) -> str:
        """Posts `body` and hands the answer's JSON to `read`, until that gives a text.

        Args:
            body: the JSON object to send; asked for before each try.
            read: finds the text in the answer; raises `CallFailed` where there is none.

        Raises:
            CallFailed: no try brought an answer, or it is of no use to try again.
        """
        for attempt in range(1, self.tries + 1):
            self._wait_for_quiet()
            try:
                return read(self._once(json.dumps(body()).encode()))
            except CallFailed as error:
                if not error.retry or attempt == self.tries or self.stop.is_set():
                    raise CallFailed(
                        f"{error} (try {attempt} of {self.tries})" if error.retry else str(error),
                        status=error.status,
                        retry=error.retry,
                        connected=error.connected,
                    ) from error
                self._back_off(attempt, error)
        raise AssertionError("unreachable")

    def _back_off(self, attempt: int, error: CallFailed) -> None:
        delay = self._jitter.uniform(0, min(30.0, self.backoff * 2 ** (attempt - 1)))
        if error.after is not None:
            delay += min(error.after, LONGEST_PAUSE)
            self._quiet_until = max(self._quiet_until, time.monotonic() + min(error.after, LONGEST_PAUSE))
        self.stop.wait(delay)

    def _wait_for_quiet(self) -> None:
        """A server that asked one call to wait means all of them."""
        pause = self._quiet_until - time.monotonic()
        if pause > 0:
            self.stop.wait(pause)

    def _once(self, data: bytes) -> Any:
        connection = self._connection()
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            if connection.sock is not None:
                with suppress(OSError):  # closed in the meantime: the call has ended
                    connection.sock.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(self.timeout, expire)
        timer.daemon = True
        timer.start()
        connected = False
        try:
            connection.connect()
            connected = True
            connection.request("POST", self._target(), body=data, headers=self.headers)
            response = connection.getresponse()
            text = response.read(LONGEST_ANSWER + 1)
            if expired.is_set():
                raise TimeoutError
        except (OSError, http.client.HTTPException) as error:
            late = expired.is_set() or isinstance(error, TimeoutError)
            why = f"no whole answer within {self.timeout:g} s" if late else f"{type(error).__name__}: {error}"
            raise CallFailed(self._clean(why), retry=True, connected=connected) from error
        finally:
            timer.cancel()
            connection.close()
        if response.status != 200:
            raise self._refused(response, text)
        if len(text) > LONGEST_ANSWER:
            raise CallFailed("an answer of more than 8 MiB", retry=False)
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CallFailed("the answer is no JSON", retry=True) from error

    def _refused(self, response: http.client.HTTPResponse, text: bytes) -> CallFailed:
        said = self._clean(" ".join(text[:2000].decode("utf-8", "replace").split()))[:300]
        return CallFailed(
            f"the server answered {response.status}" + (f": {said}" if said else ""),
            status=response.status,
            retry=response.status in RETRIED,
            after=retry_after(response.getheader("Retry-After")),
        )

    def _connection(self) -> http.client.HTTPConnection:
        host, port, secure = self.address.hostname or "", self.address.port, self.address.scheme == "https"
        proxy = None if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get(self.address.scheme)
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        more: dict[str, Any] = {"timeout": self.timeout}
        if secure:
            more["context"] = ssl.create_default_context()
        if proxy is None:
            return kind(host, port, **more)
        through, _, number = proxy.rpartition("://")[2].rpartition("@")[2].rstrip("/").partition(":")
        connection = kind(through, int(number or 80), **more)
        if secure:
            connection.set_tunnel(host, port or 443)
        return connection

    def _target(self) -> str:
        path = self.address.path + (f"?{self.address.query}" if self.address.query else "")
        plain = self.address.scheme == "http"
        host = self.address.hostname or ""
        if plain and not urllib.request.proxy_bypass(host) and urllib.request.getproxies().get("http"):
            return f"http://{self.address.netloc}{path}"
        return path

    def _clean(self, text: str) -> str:
        return visible(text.replace(self.secret, "***") if self.secret else text)


def retry_after(value: str | None) -> float | None:
    """Seconds from a ``Retry-After`` header, which holds seconds or a date (RFC 9110); none if absent or rubbish."""
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
