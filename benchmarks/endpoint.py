"""How captioning by an endpoint scales with ``--concurrency``: a server on loopback that takes its time for each call.

python benchmarks/endpoint.py [--images 200] [--delay 0.2]
"""

import argparse
import json
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

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


def main() -> None:
    """Prints a line a concurrency."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--delay", type=float, default=0.2, help="seconds a call takes")
    given = parser.parse_args()
    server = Server(given.delay)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ref = CaptionerRef.parse(f"endpoint:http://127.0.0.1:{server.server_address[1]}/v1#slow")
    first = None
    for concurrency in CONCURRENCY:
        with tempfile.TemporaryDirectory() as directory:
            context = Context(out=Path(directory), cache_dir=Path(directory), reporter=Silent())
            how = Captioning(calls=Calls(concurrency))
            made = caption_dataset(Session(context), ref, "scenes", limit=given.images, how=how)
        rate = made.made / made.seconds
        first = first or rate
        print(
            f"--concurrency {concurrency:2}: {rate:6.1f} images/s, {rate / first:4.1f} times as many as one at a time"
        )
    server.shutdown()


if __name__ == "__main__":
    main()
