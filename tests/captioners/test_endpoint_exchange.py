"""The exchange with an endpoint byte by byte: wrong lengths, huge and slow answers, echoed keys, proxies, odd names."""

import base64
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image

from vlmbench.captioners.base import Calls, Decoding, Done, Item
from vlmbench.captioners.calls import LONGEST_ANSWER
from vlmbench.captioners.endpoint import Address, Endpoint
from vlmbench.foundations.errors import AbsentError, UsageError

SECRET = "sk-never-seen-anywhere-123456"


def answer(caption: str) -> bytes:
    return json.dumps({"choices": [{"message": {"content": caption}}]}).encode()


def whole(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Wire:
    """A server that answers each request with the bytes that `reply` gives; None hangs up.

    Attributes:
        heads: the head of each request.
        connections: how many there were.
    """

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.heads: list[str] = []
        self.connections = 0
        self.reply: Callable[[int], Iterator[bytes]] = lambda call: iter([whole(answer("a cat"))])
        self.close_after = False
        threading.Thread(target=self._serve, daemon=True).start()

    def say(self, *replies: bytes, close: bool = False) -> None:
        """The replies in their order, the last one again and again."""
        self.reply = lambda call: iter([replies[min(call, len(replies)) - 1]])
        self.close_after = close

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            try:
                while self._request(connection):
                    for part in self.reply(len(self.heads)):
                        connection.sendall(part)
                    if self.close_after:
                        return
            except OSError:
                return

    def _request(self, connection: socket.socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                return False
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        self.heads.append(head.decode("latin-1"))
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
        while len(body) < length:
            body += connection.recv(65536)
        return True


@pytest.fixture
def wire() -> Iterator[Wire]:
    running = Wire()
    yield running
    running.socket.close()


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VLMBENCH_API_KEY", "OPENAI_API_KEY", *(f"{kind}_PROXY" for kind in ("HTTP", "HTTPS", "ALL", "NO"))):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def ask(wire: Wire, *, images: int = 1, host: str = "", **settings: Any) -> list[Done]:
    url = f"http://{host or f'127.0.0.1:{wire.port}'}/v1#small"
    calls = Calls(**{"tries": 2, "timeout": 5.0, "backoff": 0.001, "concurrency": 1, **settings})
    captioner = Endpoint(Address.parse(url), Decoding(), calls)
    items = [Item(f"{n}", f"{n}", Image.new("RGB", (2, 2), (n, n, n))) for n in range(images)]
    return [done for batch in captioner.stream(items) for done in batch]


def test_a_body_shorter_than_its_length_is_no_answer(wire: Wire) -> None:
    body = answer("half a truth")
    cut = whole(body).replace(f"Length: {len(body)}".encode(), f"Length: {len(body) + 60}".encode())
    wire.say(cut, close=True)
    (done,) = ask(wire)
    assert done.caption is None
    assert "attempt 2 of 2" in done.reason
    wire.say(cut, cut, cut, whole(answer("the whole truth")), close=True)
    assert [one.caption for one in ask(wire)] == ["the whole truth"]


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1 200 OK\r\nContent-Length: 20",
        "HTTP/1.1 200 OK\r\nContent-Length: {n}\r\nContent-Length: 7",
        "HTTP/1.1 200 OK\r\nContent-Length: -1",
        "HTTP/1.1 200 OK\r\nContent-Length: many",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked",
        "ICY 200 OK",
        "HTTP/1.1 200 OK\r\nContent-Length: {n}\r\nno colon",
    ],
)
def test_lengths_and_heads_that_are_wrong_are_no_answers(wire: Wire, head: str) -> None:
    body = answer("a cat")
    wire.say(head.format(n=len(body)).encode() + b"\r\n\r\n" + body, close=True)
    (done,) = ask(wire)
    assert done.caption is None


def test_what_is_left_of_one_answer_is_not_the_next_ones(wire: Wire) -> None:
    left = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{} x"
    wire.say(whole(answer("first")) + left, whole(answer("second")))
    captions = [done.caption for done in ask(wire, images=4, tries=3)]
    assert captions[0] == "first"
    assert captions[-1] == "second"
    assert set(captions) <= {"first", "second"}


def test_an_answer_without_end_is_left(wire: Wire) -> None:
    sent = 0

    def endless(call: int) -> Iterator[bytes]:
        nonlocal sent
        yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        while True:
            sent += 65536
            yield b"10000\r\n" + b" " * 65536 + b"\r\n"

    wire.reply = endless
    started = time.monotonic()
    (done,) = ask(wire, timeout=60.0)
    assert "larger than 8 MiB" in done.reason
    assert time.monotonic() - started < 20
    assert sent < 4 * LONGEST_ANSWER


def test_a_caption_without_end_is_no_caption(wire: Wire) -> None:
    wire.say(whole(answer("a cat " * 1_000_000)))
    started = time.monotonic()
    (done,) = ask(wire)
    assert done.caption is None
    assert "6,000,000 characters" in done.reason
    assert time.monotonic() - started < 5


def test_a_long_refusal_is_cut_and_quick(wire: Wire) -> None:
    wire.say(whole("é".encode() * 3_000_000, "400 Bad Request"))
    started = time.monotonic()
    (done,) = ask(wire)
    assert len(done.reason) < 400
    assert time.monotonic() - started < 5


def test_what_is_packed_is_not_unpacked(wire: Wire) -> None:
    bomb = gzip.compress(b" " * (64 << 20) + answer("a cat"))
    wire.say(whole(bomb, "200 OK", "Content-Encoding: gzip"))
    (done,) = ask(wire)
    assert "not JSON" in done.reason
    assert "accept-encoding: identity" in wire.heads[0].lower()


@pytest.mark.parametrize("slow", ["head", "body", "nothing"])
def test_an_answer_letter_by_letter_ends_with_the_deadline(wire: Wire, slow: str) -> None:
    def drip(call: int) -> Iterator[bytes]:
        yield {"head": b"HTTP/1.1 200 OK\r\nX: ", "body": b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"}.get(
            slow, b""
        )
        for _ in range(100):
            time.sleep(0.1)
            yield b"" if slow == "nothing" else b" "

    wire.reply = drip
    started = time.monotonic()
    (done,) = ask(wire, timeout=0.6, tries=1)
    assert "no complete response within 0.6 s" in done.reason
    assert time.monotonic() - started < 3


def test_connections_are_kept(wire: Wire) -> None:
    assert len(ask(wire, images=40, concurrency=3)) == 40
    assert wire.connections <= 3


def test_half_a_surrogate_pair_is_replaced(wire: Wire) -> None:
    wire.say(whole(answer("a \ud83d cat \U0001f600")))
    (done,) = ask(wire)
    assert done.caption == "a \ufffd cat \U0001f600"
    done.caption.encode()


def test_an_echoed_key_is_covered_everywhere(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLMBENCH_API_KEY", SECRET)
    wire.say(whole(answer(f"you said {SECRET}, {SECRET}")))
    assert [done.caption for done in ask(wire)] == ["you said ***, ***"]
    for before in (0, 290, 1990, 1999):
        wire.say(whole(b"x" * before + SECRET.encode(), "400 Bad Request"))
        (done,) = ask(wire)
        assert "sk-" not in done.reason
    wire.say(whole(b"", "307 Temporary Redirect", f"Location: http://127.0.0.1:{wire.port}/{SECRET}"))
    with pytest.raises(AbsentError) as caught:
        ask(wire)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(Endpoint(Address.parse("http://h/v1#m"), Decoding()).caller)


def test_a_key_that_is_a_word_covers_no_caption(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLMBENCH_API_KEY", "none")
    wire.say(whole(answer("none of the people")))
    assert [done.caption for done in ask(wire)] == ["none of the people"]


@pytest.mark.parametrize(
    "key", ["sk-a\nX-Other: b", "sk-a\r\nb", "sk-schlüssel", "sk-ключ", "two words", "sk-\x00", "“sk-a”"]
)
@pytest.mark.parametrize("name", ["VLMBENCH_API_KEY", "OPENAI_API_KEY"])
def test_a_key_that_cannot_be_sent_is_usage_and_not_shown(monkeypatch: pytest.MonkeyPatch, key: str, name: str) -> None:
    monkeypatch.setattr("os.environ", {name: key})
    with pytest.raises(UsageError) as caught:
        Endpoint(Address.parse("http://127.0.0.1:9/v1#m"), Decoding())
    assert name in caught.value.where
    assert not any(word in str(caught.value) for word in key.split() if len(word) > 1)


def test_white_space_around_a_key_is_left_out(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLMBENCH_API_KEY", f" {SECRET}\n")
    ask(wire)
    assert f"Bearer {SECRET}" in wire.heads[0]


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("http://a..b/v1#m", "host"),
        ("http://.a/v1#m", "host"),
        ("http://-a-/v1#m", "host"),
        (f"http://{'a' * 64}.org/v1#m", "host"),
        ("http://a b/v1#m", "host"),
        ("http://a\tb\x00/v1#m", "URL"),
        ("http://\u202egro.a/v1#m", "URL"),
        ("http://[::1/v1#m", "URL"),
        ("http://[zz]/v1#m", "URL"),
        ("http://256.256.256.256/v1#m", "URL"),
        ("http://a:99999/v1#m", "URL"),
        ("http://a:x/v1#m", "URL"),
        ("http:///v1#m", "needs a URL and a model"),
        ("http://api.openai.com\\@other.org/v1#m", "URL|credentials"),
    ],
)
def test_what_is_no_host_is_usage(rest: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Address.parse(rest)


def test_names_beyond_ascii_are_sent_as_the_name_system_has_them() -> None:
    assert (
        Endpoint(Address.parse("http://bücher.example:1/v1#m"), Decoding()).url == "http://xn--bcher-kva.example:1/v1"
    )
    assert (
        Endpoint(Address.parse("http://[::1]:8000#m"), Decoding()).address.geturl()
        == "http://[::1]:8000/v1/chat/completions"
    )


@pytest.mark.parametrize("host", ["no-such-host.invalid:80", "xn--a"])
def test_a_host_that_is_not_there_is_said(wire: Wire, host: str) -> None:
    with pytest.raises(AbsentError, match="no server"):
        ask(wire, host=host)


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent"])
def test_redirects_end_the_run_and_are_not_followed(wire: Wire, status: str) -> None:
    wire.say(whole(b"", status, f"Location: http://127.0.0.1:{wire.port}/elsewhere"), whole(answer("followed")))
    with pytest.raises(AbsentError, match=r"a redirect to .*/elsewhere, which is not followed"):
        ask(wire, images=5)
    assert len(wire.heads) == 1


@pytest.mark.parametrize("asked", ["86400", "1e999", "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_a_server_that_asks_to_wait_for_long_ends_the_run(wire: Wire, asked: str) -> None:
    wire.say(whole(answer("a cat")), whole(b"no", "429 Too Many Requests", f"Retry-After: {asked}"))
    started = time.monotonic()
    with pytest.raises(AbsentError, match="requests a wait") as caught:
        ask(wire, images=5)
    assert time.monotonic() - started < 5
    assert "captions made so far are stored" in caught.value.fix


def test_a_proxy_gets_its_credentials_and_the_server_not(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:p%40ssword@127.0.0.1:{wire.port}")
    assert [done.caption for done in ask(wire, host="server.example")] == ["a cat"]
    sent = base64.b64encode(b"me:p@ssword").decode()
    assert wire.heads[0].startswith("POST http://server.example/v1/chat/completions ")
    assert f"Basic {sent}" in wire.heads[0]
    wire.say(whole(f"{sent} p@ssword p%40ssword".encode(), "400 Bad"))
    (done,) = ask(wire, host="server.example")
    assert "*** *** ***" in done.reason


def test_a_tunnel_gets_its_credentials(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://me:password@127.0.0.1:{wire.port}")
    wire.say(whole(b"", "407 Proxy Authentication Required"), close=True)
    captioner = Endpoint(Address.parse("https://server.example/v1#m"), Decoding(), Calls(tries=1, timeout=5.0))
    with pytest.raises(AbsentError, match=r"sets the proxy 127\.0\.0\.1"):
        list(captioner.stream([Item("a", "a", Image.new("RGB", (2, 2)))]))
    assert wire.heads[0].startswith("CONNECT server.example:443 ")
    assert f"Basic {base64.b64encode(b'me:password').decode()}" in wire.heads[0]


def test_a_proxy_that_wants_a_password_is_said(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{wire.port}")
    wire.say(whole(b"", "407 Proxy Authentication Required"))
    with pytest.raises(AbsentError, match="sets the proxy"):
        ask(wire, host="server.example")


def test_no_proxy_is_honoured(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "other.example,127.0.0.1")
    assert [done.caption for done in ask(wire)] == ["a cat"]


@pytest.mark.parametrize(
    "proxy",
    [
        "word",
        "127.0.0.1:9/path",
        "http://127.0.0.1:9/",
        "[::1]:9",
        "http://me:secret-word@[::1]:9",
        "http://[me:secret-word@",
    ],
)
def test_a_proxy_that_is_not_there_is_named(wire: Wire, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(AbsentError, match="sets the proxy") as caught:
        ask(wire)
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize(
    "proxy",
    ["ftp://127.0.0.1:9", "http://me:secret-word@127.0.0.1:x", "socks5://127.0.0.1:9"],
)
def test_a_proxy_that_cannot_be_one_is_usage(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(UsageError, match="proxy") as caught:
        Endpoint(Address.parse("http://server.example/v1#m"), Decoding())
    assert "secret-word" not in str(caught.value)


def test_a_caption_by_the_command_holds_no_half_character(wire: Wire, tmp_path: Any) -> None:
    from typer.testing import CliRunner

    from vlmbench.cli.app import app

    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    wire.say(whole(answer("a \ud83d cat")))
    given = ["caption", "-m", f"endpoint:http://127.0.0.1:{wire.port}/v1#m", str(tmp_path / "a.png"), "--json"]
    done = CliRunner().invoke(app, [*given, "--cache-dir", str(tmp_path), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    (file,) = (tmp_path / "out").rglob("*.json")
    assert json.loads(file.read_text("utf-8"))[0]["caption"] == "a \ufffd cat"
