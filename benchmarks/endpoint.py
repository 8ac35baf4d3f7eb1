"""How captioning by an endpoint scales with ``--concurrency``: a server on loopback that takes its time for each call.

python benchmarks/endpoint.py [--images 200] [--delay 0.2]
"""

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.rows import Row
from vlmbench.captioners.base import Calls, Captioning
from vlmbench.captioners.names import CaptionerRef
from vlmbench.foundations.progress import Silent
from vlmbench.session.context import Context
from vlmbench.session.session import Session
from vlmbench.tasks.captions.dataset import caption_dataset

CONCURRENCY = (1, 4, 16, 64)
ANSWER = json.dumps({"choices": [{"message": {"role": "assistant", "content": "a red circle"}}]}).encode()


class Server(ThreadingHTTPServer):
    """Answers every call with one caption after `delay` seconds, any number of calls at a time."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, delay: float) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.delay = delay


class Handler(BaseHTTPRequestHandler):
    """Reads the call, waits, answers."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # as real servers do: head and body are written one by one

    def log_message(self, *args: object) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        """One call."""
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.server.delay)
        self.send_response(200)
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)


def measured(images: int, delay: float, values: tuple[int, ...]) -> Iterator[tuple[int, float]]:
    """Captions a second at each concurrency."""
    server = Server(delay)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ref = CaptionerRef.parse(f"endpoint:http://127.0.0.1:{server.server_address[1]}/v1#slow")
    for concurrency in values:
        with tempfile.TemporaryDirectory() as directory:
            context = Context(out=Path(directory), cache_dir=Path(directory), reporter=Silent())
            how = Captioning(calls=Calls(concurrency))
            made = caption_dataset(Session(context), ref, "scenes", limit=images, how=how)
        yield concurrency, made.made / made.seconds
    server.shutdown()


def rows(quick: bool) -> Iterator[Row]:
    """64 calls at a time beside one."""
    count = 20 if quick else 100
    rates = dict(measured(count, 0.2, (1, 16, 64)))
    for concurrency, target in ((16, 14.0), (64, None)):
        yield Row(
            f"captions of {count} images from an endpoint, 0.2 s per call, `--concurrency {concurrency}`",
            rates[concurrency], rates[1], "captions/s", "`--concurrency 1`",
            f"python benchmarks/endpoint.py --images {count}", target=None if quick else target,
        )  # fmt: skip


def main() -> None:
    """Prints a line a concurrency."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--delay", type=float, default=0.2, help="seconds a call takes")
    given = parser.parse_args()
    first = None
    for concurrency, rate in measured(given.images, given.delay, CONCURRENCY):
        first = first or rate
        print(
            f"--concurrency {concurrency:2}: {rate:6.1f} images/s, {rate / first:4.1f} times as many as one at a time"
        )


if __name__ == "__main__":
    main()
