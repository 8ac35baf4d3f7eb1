"""The endpoint against a real server on loopback that misbehaves on demand."""

import base64
import io
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vlmbench.captioners.base import Calls, Captioning, Decoding, Example, Item
from vlmbench.captioners.calls import retry_after
from vlmbench.captioners.endpoint import Address, Endpoint
from vlmbench.captioners.names import CaptionerRef
from vlmbench.captioners.store import CaptionStore
from vlmbench.data.base import Split
from vlmbench.data.bundled import Arrays
from vlmbench.foundations.errors import AbsentError, InputError, UsageError
from vlmbench.foundations.progress import Silent
from vlmbench.records.store import StoredRun, read_samples
from vlmbench.report.pairs import Pairs
from vlmbench.report.tables.caption_blocks import caption_blocks
from vlmbench.session.context import Context
from vlmbench.session.session import Session
from vlmbench.tasks.captions.captioned import CaptionerEvalRequest, run_captioner_eval
from vlmbench.tasks.captions.captioners import captioner_in
from vlmbench.tasks.captions.captioning import caption_split
from vlmbench.tasks.captions.scoring import Scoring

SECRET = "sk-never-seen-anywhere-123456"
STALL = 4.0


class Server(ThreadingHTTPServer):
    """Captions an image by its first pixel; `behave` decides what becomes of each call.

    With `most`, an image that has failed so often is served well: which call of many at once comes fifth is chance.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.calls = 0
        self.billed: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.running = self.peak = 0
        self.pause = 0.0
        self.closing = threading.Event()
        self.behave: Callable[[int], str] = lambda call: "well"
        self.most: int | None = None
        self.failures: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is part of the tests."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.calls += 1
            self.server.bodies.append(body)
            self.server.headers.append(dict(self.headers))
            call = self.server.calls
            self.server.running += 1
            self.server.peak = max(self.server.peak, self.server.running)
        time.sleep(self.server.pause)
        with self.server.lock:  # before the answer, since the next call comes once it is read
            self.server.running -= 1
        self._answer(self._served(self.server.behave(call), body), body)

    def _served(self, how: str, body: dict[str, Any]) -> str:
        if how == "well" or self.server.most is None:
            return how
        image = caption_of(picture(body))
        with self.server.lock:
            self.server.failures[image] += 1
            return how if self.server.failures[image] <= self.server.most else "well"

    def _answer(self, how: str, body: dict[str, Any]) -> None:
        if how == "well":
            caption = caption_of(picture(body))
            with self.server.lock:
                self.server.billed[caption] += 1
            self._send(200, json.dumps({"choices": [{"message": {"role": "assistant", "content": f" {caption}\n"}}]}))
        elif how == "stall":
            self.server.closing.wait(STALL)
        elif how == "drip":
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            for _ in range(int(STALL / 0.05)):
                self.wfile.write(b" ")
                self.wfile.flush()
                self.server.closing.wait(0.05)
        elif how == "hang up":
            self.close_connection = True
        elif how == "half":
            self.send_response(200)
            self.send_header("Content-Length", "500")
            self.end_headers()
            self.wfile.write(b'{"choices": [')
            self.close_connection = True
        elif how == "rubbish":
            self._send(200, "<html>everything is fine</html>")
        elif how == "strange":
            self._send(200, json.dumps({"choices": []}))
        elif how == "empty":
            self._send(200, json.dumps({"choices": [{"message": {"content": None}}]}))
        elif how == "busy":
            self._send(429, "slow down", {"Retry-After": "0.01"})
        elif how == "newer":
            self._send(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        elif how == "refused":
            self._send(401, f"wrong key: {self.headers.get('Authorization')}")
        else:
            self._send(int(how), f"status {how} for {self.headers.get('Authorization')}")

    def _send(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        data = text.encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def picture(body: dict[str, Any]) -> Image.Image:
    """The last image in a request."""
    url = body["messages"][-1]["content"][0]["image_url"]["url"]
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")


def caption_of(image: Image.Image) -> str:
    red, green, blue = image.getpixel((0, 0))
    return f"a picture of colour {red} {green} {blue}"


def coloured(count: int) -> Split:
    """`count` images of 2 by 2 pixels, each of its own colour."""
    pixels = [np.full((2, 2, 3), (i % 256, i // 256, 7), np.uint8) for i in range(count)]
    ids = tuple(f"image-{i:04d}" for i in range(count))
    return Split("all", ids, np.zeros(count, np.int64), Arrays(tuple(pixels)))


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield running
    running.closing.set()
    running.shutdown()
    running.server_close()


@pytest.fixture(autouse=True)
def _no_proxy_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VLMBENCH_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def endpoint(server: Server, options: Decoding | None = None, **more: Any) -> Endpoint:
    calls = Calls(**{"concurrency": 16, "timeout": 5.0, "backoff": 0.001, **more})
    return Endpoint(Address.parse(f"{server.url}#small"), options or Decoding(), calls)


def items(split: Split) -> list[Item]:
    return [Item(id, id, Image.fromarray(split.images.read(row))) for row, id in enumerate(split.ids)]


def test_five_hundred_images_of_a_server_that_fails_one_call_in_five(server: Server, tmp_path: Path) -> None:
    faults = ["500", "busy", "rubbish", "hang up", "503", "half", "strange", "empty", "502"]
    stalls = {50: "stall", 51: "drip", 250: "drip", 251: "stall"}
    server.behave = lambda call: stalls.get(call) or (faults[call // 5 % len(faults)] if call % 5 == 0 else "well")
    server.most = 5  # one less than the tries of a call
    split = coloured(500)
    context = Context(cache_dir=tmp_path, reporter=Silent())
    found = caption_split(context, endpoint(server, timeout=2.0, concurrency=32), split)
    assert not found.failed
    assert [found.captions[id] for id in split.ids] == [caption_of(item.image) for item in items(split)]
    assert set(server.billed.values()) == {1}, "a stored caption was asked for twice"
    before = server.calls
    again = caption_split(context, endpoint(server), split)
    assert again.captions == found.captions
    assert again.made == 0
    assert server.calls == before


def test_interrupted_runs_go_on_and_ask_for_nothing_twice(server: Server, tmp_path: Path) -> None:
    split = coloured(60)
    server.behave = lambda call: "400" if call > 20 else "well"
    context = Context(cache_dir=tmp_path, reporter=Silent())
    with pytest.raises(InputError, match="no caption for image-"):
        caption_split(context, endpoint(server, concurrency=1), split, on_failure="error")
    kept = endpoint(server)
    with CaptionStore(tmp_path, kept.facts, kept.decoding) as store:
        assert len(store) == 20
    server.behave = lambda call: "well"
    found = caption_split(context, endpoint(server), split)
    assert len(found.captions) == 60
    assert found.made == 40
    assert set(server.billed.values()) == {1}


def test_an_interrupt_hands_on_what_is_under_way(server: Server) -> None:
    server.pause = 0.05
    got = []

    def until_interrupted() -> Iterator[Item]:
        for number, item in enumerate(items(coloured(50))):
            if number == 12:
                raise KeyboardInterrupt
            yield item

    stream = endpoint(server, concurrency=4).stream(until_interrupted())
    with pytest.raises(KeyboardInterrupt):
        got.extend(done.caption for batch in stream for done in batch)
    assert len(got) == 12
    assert None not in got
    assert server.calls == 12


def test_what_cannot_be_captioned_is_named(server: Server, tmp_path: Path) -> None:
    server.behave = lambda call: "400" if call == 3 else "well"
    reporter = Silent()
    found = caption_split(Context(cache_dir=tmp_path, reporter=reporter), endpoint(server, concurrency=1), coloured(5))
    assert list(found.failed) == ["image-0002"]
    assert "400" in found.failed["image-0002"]
    assert len(found.captions) == 4
    assert any("image-0002" in line for line in reporter.warnings)


def test_an_image_that_fails_still_counts_in_the_document_frequencies(server: Server, tmp_path: Path) -> None:
    """So that a call in which an image fails has the CIDEr of one in which none does, on the images of both."""

    def score(out: str) -> StoredRun:
        context = Context(out=tmp_path / out, cache_dir=tmp_path / out / "cache", reporter=Silent())
        ref, how = CaptionerRef.parse(f"endpoint:{server.url}#m"), Captioning(calls=Calls(concurrency=1))
        request = CaptionerEvalRequest([ref], "scenes", limit=12, scoring=Scoring(("cider",)), how=how)
        (run,) = run_captioner_eval(request, context)
        return run

    server.behave = lambda call: "400" if call == 3 else "well"
    part = score("part")
    server.behave = lambda call: "well"
    whole = score("whole")
    assert (part.record.n, whole.record.n) == (11, 12)
    assert part.record.protocol.df == whole.record.protocol.df == "references[12]"
    first, second = (
        {id: (row, value) for id, row, value in zip(*columns, strict=True)}
        for columns in ([read_samples(run)[name] for name in ("id", "candidate", "cider")] for run in (part, whole))
    )
    assert {id: second[id] for id in first} == first
    (block,) = caption_blocks([part, whole], Pairs())
    assert (block.place.n, block.apart) == (11, frozenset())


def test_a_call_that_always_fails_is_tried_so_often_and_no_more(server: Server) -> None:
    server.behave = lambda call: "503"
    ((done,),) = endpoint(server, tries=4).stream(items(coloured(1)))
    assert done.caption is None
    assert "503" in done.reason
    assert server.calls == 4


def test_calls_run_side_by_side_and_never_more_than_asked(server: Server) -> None:
    server.pause = 0.1
    assert len(list(endpoint(server, concurrency=8).stream(items(coloured(24))))) == 24
    assert server.peak == 8


@pytest.mark.parametrize(("how", "said"), [("refused", "key"), ("403", "key"), ("404", "no such model")])
def test_what_every_image_would_meet_ends_the_run(server: Server, how: str, said: str) -> None:
    server.behave = lambda call: how
    with pytest.raises(AbsentError, match=said):
        list(endpoint(server, concurrency=2).stream(items(coloured(50))))
    assert server.calls <= 4


def test_no_server_is_said() -> None:
    nothing = Endpoint(Address.parse("http://127.0.0.1:9/v1#m"), Decoding(), Calls(tries=2, backoff=0.001))
    with pytest.raises(AbsentError, match="no server"):
        list(nothing.stream(items(coloured(3))))


def test_the_key_is_sent_and_is_nowhere_else(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLMBENCH_API_KEY", SECRET)
    server.behave = lambda call: "500" if call < 4 else "400" if call == 5 else "well"
    reporter = Silent()
    captioner = endpoint(server, tries=2, concurrency=1)
    found = caption_split(Context(cache_dir=tmp_path, reporter=reporter), captioner, coloured(6))
    assert found.failed
    assert all(headers["Authorization"] == f"Bearer {SECRET}" for headers in server.headers)
    told = json.dumps(
        [found.failed, captioner.decoding, captioner.facts.model_dump(), reporter.warnings, reporter.notes]
    )
    assert SECRET not in told
    assert "***" in told, "the server repeats the key, and it has to be covered"
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()


def test_keys_go_only_where_they_belong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)

    def sent(url: str) -> str | None:
        return Endpoint(Address.parse(f"{url}#m"), Decoding()).caller.headers.get("Authorization")

    assert sent("https://api.openai.com/v1") == sent("http://localhost:8000/v1") == f"Bearer {SECRET}"
    assert sent("https://example.org/v1") is None
    assert sent("https://openai.com.example.org/v1") is None
    monkeypatch.setenv("VLMBENCH_API_KEY", "other")
    assert sent("https://example.org/v1") == "Bearer other"


def test_what_is_asked(server: Server) -> None:
    ((done,),) = endpoint(server, Decoding(prompt="What is it?", max_new_tokens=7)).stream(items(coloured(1)))
    assert done.caption == "a picture of colour 0 0 7"
    (body,) = server.bodies
    assert body["model"] == "small"
    assert body["max_tokens"] == 7
    assert body["temperature"] == 0
    assert "seed" not in body
    assert body["messages"][0]["content"][1] == {"type": "text", "text": "What is it?"}


def test_sampling_sends_a_seed_of_the_image(server: Server) -> None:
    options = Decoding(temperature=0.5, seed=3)
    for _ in range(2):
        list(endpoint(server, options, concurrency=1).stream(items(coloured(2))))
    seeds = [body["seed"] for body in server.bodies]
    assert seeds[:2] == seeds[2:]
    assert seeds[0] != seeds[1]


@pytest.mark.parametrize(
    "rest",
    [
        "127.0.0.1:80#m",
        "http://127.0.0.1:8000/v1",
        "ftp://h/v1#m",
        "http://#m",
        "http://u:p@h/v1#m",
        "http://h/v1?key=a#m",
    ],
)
def test_what_is_no_endpoint_is_refused_and_not_repeated(rest: str) -> None:
    with pytest.raises(UsageError) as caught:
        Address.parse(rest)
    assert "u:p" not in str(caught.value)


def test_addresses() -> None:
    assert Endpoint(Address.parse("http://h:1#m"), Decoding()).address.geturl() == "http://h:1/v1/chat/completions"
    assert Endpoint(Address.parse("http://h/api/v3/#a/b:c"), Decoding()).facts.id == "endpoint:http://h/api/v3#a/b:c"
    with pytest.raises(UsageError, match="beams"):
        Endpoint(Address.parse("http://h:1#m"), Decoding(num_beams=2))


def test_offline_means_this_machine_only(server: Server, tmp_path: Path) -> None:
    session = Session(Context(cache_dir=tmp_path, offline=True))
    assert captioner_in(session, CaptionerRef.parse(f"endpoint:{server.url}#m"), Captioning()).system == "m"
    with pytest.raises(UsageError, match="offline="):
        captioner_in(session, CaptionerRef.parse("endpoint:http://example.org/v1#m"), Captioning())


def test_worked_examples_are_earlier_turns(server: Server) -> None:
    shown = Example(Image.new("RGB", (2, 2)), "a black square", "0")
    asked = Endpoint(Address.parse(f"{server.url}#small"), Decoding(shots=1), examples=[shown])
    ((done,),) = asked.stream(items(coloured(1)))
    assert done.caption == "a picture of colour 0 0 7"
    assert [message["role"] for message in server.bodies[0]["messages"]] == ["user", "assistant", "user"]
    assert server.bodies[0]["messages"][1]["content"] == "a black square"
    assert asked.decoding["examples"] != Endpoint(Address.parse(f"{server.url}#small"), Decoding()).decoding["examples"]


def test_models_that_know_no_max_tokens(server: Server) -> None:
    server.behave = lambda call: "newer" if call == 1 else "well"
    done = [one for batch in endpoint(server, concurrency=1).stream(items(coloured(2))) for one in batch]
    assert [one.caption is not None for one in done] == [True, True]
    assert ["max_tokens" in body for body in server.bodies] == [True, False, False]
    assert server.bodies[1]["max_completion_tokens"] == 40


def test_retry_after() -> None:
    assert retry_after("2") == 2
    assert retry_after("-1") == 0
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after("soon") is None
    assert retry_after(None) is None
