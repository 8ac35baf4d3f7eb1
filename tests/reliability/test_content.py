"""What comes from files and endpoints is shown, never obeyed; a key goes to its server and nowhere else."""

import contextlib
import csv
import json
import os
import pty
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

HOSTILE = [
    "\x1b[2J\x1b[31mred", "\x1b]0;title\x07", "\x9b31m", "[red]markup[/red]", "[link=file:///etc/passwd]x[/link]",
    "a\rb", "a\x08\x08b", "\u202eevil", "=cmd|' /C calc'!A0", "<script>alert(1)</script>", "\\input{/etc/passwd}",
    "\x1bPq#0\x1b\\", "a\tb", "{{ 7 * 7 }}", "%s %n", "-- --json", "\u2028x",
]  # fmt: skip
OBEYED = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Server(ThreadingHTTPServer):
    """A chat endpoint; what it answers is `reply` of the number of the call and the key it was sent."""

    reply: Callable[[int, str], tuple[int, str]]
    calls = 0


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.calls += 1
        status, text = self.server.reply(self.server.calls - 1, self.headers.get("Authorization") or "")
        body = json.dumps({"choices": [{"message": {"content": text}}]}).encode() if status == 200 else text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        body = json.dumps({"error": f"not with {self.headers.get('Authorization')}"}).encode()
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture(scope="module")
def on_a_terminal(processes: ModuleType) -> Callable[..., tuple[int, str]]:
    """A command whose stdout and stderr are a terminal without colours: its exit code and what it showed."""
    kept = {**os.environ, "TERM": "dumb", "COLUMNS": "160", "HF_HUB_OFFLINE": "1"}

    def run(*arguments: object) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        shown: list[bytes] = []

        def read() -> None:
            with contextlib.suppress(OSError):  # it has ended
                while part := os.read(ours, 65536):
                    shown.append(part)

        reader = threading.Thread(target=read)
        reader.start()
        words, libraries = map(str, arguments), processes.OFFLINE
        done = processes.python(processes.COMMAND, kept, *words, terminal=os.ttyname(theirs), libraries=libraries)
        os.close(theirs)
        reader.join()
        os.close(ours)
        return done.returncode, b"".join(shown).decode()

    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with hostile class names and file names, and captions with hostile ids and texts."""
    root = tmp_path_factory.mktemp("hostile")
    generator = np.random.default_rng(0)
    with (root / "list.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label"])
        for number, name in enumerate(HOSTILE):
            image = root / f"{number} {name.replace('/', '')}.png"
            Image.fromarray(generator.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(image)
            rows.writerow([image.name, name])
    (root / "references.json").write_text(json.dumps({name: [f"{name} dog", "a dog"] for name in HOSTILE}))
    (root / "candidates.json").write_text(json.dumps({name: f"a {name}" for name in HOSTILE}))
    return root


def test_a_terminal_obeys_no_name_and_no_text(
    made: Path, server: Server, tmp_path: Path, on_a_terminal: Callable[..., tuple[int, str]]
) -> None:
    server.reply = lambda call, key: (200, HOSTILE[call % len(HOSTILE)])
    places = ["-o", tmp_path / "out", "--cache-dir", tmp_path / "cache", "-q"]
    endpoint = f"endpoint:http://127.0.0.1:{server.server_port}/v1#{HOSTILE[3]}"
    commands: list[tuple[int, list[object]]] = [
        *((0, ["caption-eval", "-r", made / "references.json", "-p", f"{name}={made}/candidates.json",
               "--metrics", "bleu,rouge_l", "--resamples", "100", *places]) for name in HOSTILE[:3]),
        (0, ["caption", "-m", endpoint, "-d", "scenes", "--limit", str(len(HOSTILE)), *places]),
        (0, ["compare", tmp_path / "out", "-o", tmp_path / "tables"]),
        (0, ["check", "--update", "--baseline", tmp_path / "baseline.json", tmp_path / "out"]),
        (0, ["check", "--baseline", tmp_path / "baseline.json", tmp_path / "out"]),
        (0, ["verify", tmp_path / "out"]),
        *((4, ["zeroshot", "-m", "tiny-clip", "-d", f"folder:{name}", *places]) for name in HOSTILE[:3]),
        *((4, ["zeroshot", "-m", f"./{name}", "-d", "digits", *places]) for name in HOSTILE[:3]),
        (4, ["verify", HOSTILE[0]]),
        (2, ["list", HOSTILE[0]]),
        (2, [HOSTILE[0]]),
    ]  # fmt: skip
    for code, line in commands:
        ended, shown = on_a_terminal(*line)
        assert ended == code, shown
        assert OBEYED.search(shown) is None, (line[:2], shown)
    assert server.calls == len(HOSTILE)


@pytest.fixture(scope="module")
def compared(
    made: Path, tmp_path_factory: pytest.TempPathFactory, on_a_terminal: Callable[..., tuple[int, str]]
) -> Path:
    """A results directory with tables and report of the hostile dataset."""
    out = tmp_path_factory.mktemp("compared")
    line = ["zeroshot", "-m", "tiny-clip", "-d", f"file:{made}/list.csv", "-o", out, "--cache-dir", out / "cache", "-q"]
    for code, shown in (on_a_terminal(*line), on_a_terminal("compare", out, "-o", out)):
        assert code == 0, shown
        assert OBEYED.search(shown) is None, shown
    return out


def test_no_spreadsheet_and_no_page_obeys_either(compared: Path) -> None:
    for path in compared.rglob("*.csv"):
        cells = [cell for row in csv.reader(path.open(newline="", encoding="utf-8")) for cell in row]
        assert not [cell for cell in cells if cell[:1] in "=+@\t\r" and cell]
    page = (compared / "report.html").read_text("utf-8")
    assert page.count("<script") == 1
    assert "default-src 'none'" in page


@pytest.mark.skipif(not CHROMIUM, reason="needs chromium (a Debian package)")
def test_a_browser_runs_nothing_that_got_into_the_report(compared: Path, tmp_path: Path) -> None:
    """Escaping is tested elsewhere; here it has failed, and the page's content security policy holds."""
    got_in = "<script>document.title='obeyed'</script><img src=x onerror=\"document.title='obeyed'\">"
    titles = []
    for name, policy in (("with", True), ("without", False)):
        page = (compared / "report.html").read_text("utf-8").replace("<main", got_in + "<main", 1)
        page = page if policy else re.sub("<meta http-equiv=.Content-Security-Policy[^>]*>", "", page)
        (tmp_path / f"{name}.html").write_text(page, "utf-8")
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
        done = subprocess.run(
            [str(CHROMIUM), *options, f"--user-data-dir={tmp_path}/chromium", (tmp_path / f"{name}.html").as_uri()],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        titles.append(re.search("<title>(.*?)</title>", done.stdout)[1] == "obeyed")  # type: ignore[index]
    assert titles == [False, True], "the policy keeps it from running; without the policy it runs"


CANARIES = {
    "VLMBENCH_API_KEY": "sk-canary-0123456789abcdef",
    "OPENAI_API_KEY": "sk-canary-other-0123456789",
    "HF_TOKEN": "hf_canaryABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "HTTPS_PROXY": "http://me:canary-password@127.0.0.1:9",
}
SECRETS = re.compile("canary")
FAULT = """
import sys
import vlmbench.captioners.endpoint as endpoint
def broken(self, *given, **named):
    raise RuntimeError("a fault")
endpoint.Endpoint.stream = broken
from vlmbench.__main__ import main
sys.argv = ["vlmbench", *sys.argv[1:]]
main()
"""


def test_keys_are_written_nowhere(server: Server, tmp_path: Path, processes: ModuleType) -> None:
    replies = {
        "well": lambda call, key: (200, f"you said {key}"),
        "refused": lambda call, key: (401, f"no such key: {key}"),
        "bad": lambda call, key: (400, f"{key} {key}"),
        "redirect": lambda call, key: (307, key),
    }
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    places = {"HF_HOME": "hf", "VLMBENCH_CACHE_DIR": "cache", "HOME": "home"}
    environment = {**kept, **CANARIES, **{name: str(tmp_path / place) for name, place in places.items()},
                   "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HUB_OFFLINE": "0"}  # fmt: skip
    common = ["-o", str(tmp_path / "out"), "--timeout", "5", "--concurrency", "1"]
    endpoint = f"endpoint:http://127.0.0.1:{server.server_port}/v1#m"
    caption = ["caption", "-m", endpoint, "-d", "scenes", "--limit", "2", *common]
    said = []

    def run(*words: str, code: str = processes.COMMAND) -> int:
        done = processes.python(code, environment, *words)
        said.append(done.stdout + done.stderr)
        return done.returncode

    codes = {}
    for name, reply in replies.items():
        server.reply = reply
        codes[name] = run(*caption, "--debug", "--seed", str(len(codes)))
    server.reply = replies["well"]
    scored = ["caption-eval", "--captioner", endpoint, "-d", "scenes", "--limit", "3", "--metrics", "bleu"]
    codes["scored"] = run(*scored, *common)
    codes["fault"] = run(*caption, "--seed", "9", code=FAULT)
    codes["hub"] = run("zeroshot", "-m", "owner/name", "-d", "digits", "-o", str(tmp_path / "out"))
    codes["doctor"] = run("doctor")
    assert (codes["well"], codes["refused"], codes["scored"], codes["fault"]) == (0, 4, 0, 70), said
    assert not [code for name, code in codes.items() if name != "fault" and code not in (0, 3, 4)], (codes, said)
    assert server.calls >= 5
    assert list((tmp_path / "cache" / "logs").iterdir()), "the fault was logged"
    assert [text for text in said if SECRETS.search(text)] == []
    for path in tmp_path.rglob("*"):
        assert not SECRETS.search(str(path))
        assert path.is_dir() or not SECRETS.search(path.read_bytes().decode("latin-1")), path
