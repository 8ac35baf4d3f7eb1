"""The commands that are disturbed, each with what lies there before it; small, and on what ships with the package."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmarks.reliability.workshop import LIBRARIES, SHARED, TORCH, TRACE, Workshop, made, outcome, stored

COMMON = ("-o", "out", "--cache-dir", "cache", "--workers", "0")
PLAN = """
[[zeroshot]]
model = ["tiny-clip"]
dataset = ["digits", "shapes"]
limit = 20

[[linear-probe]]
model = ["pixels"]
dataset = ["digits"]
limit = 60
c = "1"
shots = "1,all"
seeds = 2

[[caption-eval]]
references = "references.json"
candidates = ["one.json", "two.json"]
metrics = "bleu,cider"
"""
WORDS = ("a", "red", "green", "blue", "dog", "cat", "bird", "runs", "sits", "under", "the", "wall", "tree", "small")


@dataclass(frozen=True)
class Scene:
    """A command.

    Attributes:
        line: its words.
        torch: whether it needs torch.
        before: commands that have to have run.
    """

    line: tuple[str, ...]
    torch: bool = True
    before: tuple[tuple[str, ...], ...] = ()

    @property
    def libraries(self) -> str:
        """What is worth importing before."""
        return TORCH if self.torch else LIBRARIES


_SCORE = ("caption-eval", "-r", "references.json", "-p", "one.json", "-p", "two.json", *COMMON)
_PROBE = ("linear-probe", "-m", "pixels", "-d", "digits", "--limit", "100", "--c", "1", *COMMON)
_RESULTS = ((*_PROBE, "--shots", "1,all", "--seeds", "2"), (*_SCORE, "--metrics", "bleu,cider"))
_BASELINE = ("check", "--update", "--baseline", "baseline.json", "out")
_SAVED = ((*_PROBE, "--save-probe", "probe.safetensors", "--no-figures"),)
_SHOTS = ("linear-probe", "-m", "tiny-clip", "-d", "digits", "--limit", "60", "--seeds", "2", "--no-figures", *COMMON)
_TWO = (
    ("zeroshot", "-m", "tiny-clip", "-d", "digits", "--limit", "100", *COMMON[2:], "-o", "a"),
    (*_PROBE, "--no-figures", "-o", "b"),
)
SCENES: dict[str, Scene] = {
    "zeroshot": Scene(("zeroshot", "-m", "tiny-clip", "-d", "digits", "--limit", "60", "--batch-size", "8", *COMMON)),
    "shared": Scene(
        ("zeroshot", "-m", "tiny-clip", "-d", "digits", "--limit", "60", "--shared-cache", SHARED, *COMMON)
    ),
    "corrupt": Scene(
        ("zeroshot", "-m", "tiny-clip", "-d", "digits", "--limit", "20", "--corrupt", "contrast,fog:2", *COMMON)
    ),
    "linear-probe": Scene((*_PROBE, "--save-probe", "probe.safetensors")),
    "few-shot": Scene(
        ("linear-probe", "-m", "pixels", "-d", "shapes", "--shots", "1,2", "--seeds", "2", "--c", "1", *COMMON)
    ),
    "heads": Scene((*_SHOTS, "--shots", "2", "--head", "tip-adapter", "--head", "prototype", "--head", "knn")),
    "test-on": Scene((*_SHOTS, "--shots", "2,all", "--c", "1", "--test-on", "digits?corrupt=fog:3")),
    "load-probe": Scene(
        ("linear-probe", "-d", "digits", "--limit", "60", "--load-probe", "probe.safetensors", *COMMON),
        before=_SAVED,
    ),
    "predict": Scene(
        ("predict", "-p", "probe.safetensors", "images", "--output", "said.csv", *COMMON[2:]), before=_SAVED
    ),
    "retrieval": Scene(("retrieval", "-m", "tiny-clip", "-d", "scenes", "--limit", "20", *COMMON)),
    "caption": Scene(
        ("caption", "-m", "tiny-captioner", "-d", "scenes", "--limit", "12", "--batch-size", "2", *COMMON)
    ),
    "caption-eval": Scene((*_SCORE, "--metrics", "bleu,rouge_l,cider"), torch=False),
    "captioner": Scene(
        ("caption-eval", "--captioner", "tiny-captioner", "-d", "scenes", "--limit", "8", "--metrics",
         "bleu_4,clipscore", "--clip", "tiny-clip", "--resamples", "100", *COMMON)
    ),
    "meteor": Scene((*_SCORE, "--metrics", "meteor"), torch=False),
    "metric-eval": Scene(
        ("metric-eval", "-j", "ratings.csv", "-r", "references.json", "--metrics", "bleu_4,cider", "--resamples", "100",
         *COMMON), torch=False
    ),
    "java": Scene((*_SCORE, "--backend", "java", "--metrics", "bleu,meteor"), torch=False),
    "compare": Scene(
        ("compare", "out", "-o", "tables", "--figures", "drawn", "--eval-results", "cards"),
        torch=False, before=_RESULTS
    ),
    "run": Scene(("run", "plan.toml", *COMMON)),
    "update": Scene(_BASELINE, torch=False, before=_RESULTS),
    "check": Scene(
        ("check", "--baseline", "baseline.json", "out", "--junit", "junit.xml", "--gitlab", "quality.json"),
        torch=False, before=(*_RESULTS, _BASELINE)
    ),
    "verify": Scene(("verify", "out"), torch=False, before=_RESULTS),
    "power": Scene(("power", "--delta", "0.05", "a", "b"), torch=False, before=_TWO),
    "embed": Scene(("embed", "-m", "pixels", "-d", "digits", *COMMON)),
}  # fmt: skip
KILLED = ("zeroshot", "linear-probe", "few-shot", "caption", "caption-eval", "compare", "run")


def prepare(folder: Path, names: tuple[str, ...]) -> dict[str, Path]:
    """What lies there before each command, in a directory of its own."""
    places = {}
    for name in names:
        places[name] = folder / "start" / name
        _inputs(places[name])
    with Workshop(folder / "earlier") as workshop:
        for before in {SCENES[name].before for name in names if SCENES[name].before}:
            workshop.begin(places[names[0]])
            for line in before:
                done = workshop.run(line)
                if done.code:
                    raise RuntimeError(f"{line} ended with {done.code}: {done.said}")
            shutil.rmtree(workshop.work / "cache", ignore_errors=True)
            for name in names:
                if SCENES[name].before == before:
                    shutil.copytree(workshop.work, places[name], dirs_exist_ok=True)
    return places


def _inputs(folder: Path) -> None:
    """Small caption files and a plan."""
    folder.mkdir(parents=True)
    count = len(WORDS)
    say = lambda at, step: " ".join(WORDS[(at * step + 3 * word * step) % count] for word in range(7))  # noqa: E731
    (folder / "references.json").write_text(json.dumps({str(i): [say(i, 1), say(i + 1, 3)] for i in range(60)}))
    for name, step in (("one", 5), ("two", 7)):
        (folder / f"{name}.json").write_text(json.dumps({str(i): say(i, step) for i in range(60)}))
    rows = [f"{i},{say(i, 5)},{i % 5}" for i in range(60)]
    (folder / "ratings.csv").write_text("\n".join(["image_id,candidate,rating", *rows, ""]))
    (folder / "plan.toml").write_text(PLAN)
    (folder / "images").mkdir()
    for value in (0, 90, 180):
        Image.new("L", (8, 8), value).save(folder / "images" / f"{value}.png")


class Trial:
    """A command, what it does when nothing disturbs it, and what is wrong after something did.

    Args:
        workshop: where it runs.
        scene: the command.
        start: what lies there before it.
    """

    def __init__(self, workshop: Workshop, scene: Scene, start: Path) -> None:
        self.workshop, self.line, self.start = workshop, scene.line, start
        self.calls: list[tuple[str, str, str]] = []
        workshop.begin(start)
        self.before = outcome(start)
        if workshop.faults:
            workshop.faults.set(TRACE)
        done = workshop.run(self.line)
        if done.code:
            raise RuntimeError(f"{self.line} ended with {done.code}: {done.said}")
        if workshop.faults:
            self.calls = workshop.faults.calls()
            workshop.faults.off()
        self.written, self.made, self.seconds = outcome(workshop.work), made(done.said), done.seconds
        self.printed = done.printed
        self.new = [name for name in self.written if not (start / name).exists()]
        self._whole: set[str] = set()
        if self.made != stored(workshop.work / "cache"):
            raise RuntimeError(f"{self.line} said {self.made} images and captions, and others are stored: {done.said}")

    def lacking(self) -> list[str]:
        """Files that an undisturbed run writes and that are not there or not the same."""
        found = outcome(self.workshop.work)
        return [name for name, data in self.written.items() if found.get(name) != data]

    def half(self) -> str:
        """Which file is neither as it was before nor what an undisturbed run writes; empty where all are."""
        for name, data in outcome(self.workshop.work).items():
            if ".tmp" not in name and data not in (self.written.get(name), self.before.get(name)):
                return f"{name} is there and is not what it has to be"
        return ""

    def again(self, *, fresh: bool = False) -> str:
        """Runs the command once more, undisturbed; says what is wrong then, else nothing.

        What it found is asked for once: where all is as it was before a run that went well, that one counts.
        """
        if (found_there := self.workshop.state()) in self._whole:
            return ""
        before = stored(self.workshop.work / "cache")
        done = (self.workshop.fresh if fresh else self.workshop.run)(self.line)
        if done.code:
            return f"the run after it ended with {done.code}: {done.said[-300:]}"
        if (found := outcome(self.workshop.work)) != self.written:
            names = [name for name in {**found, **self.written} if found.get(name) != self.written.get(name)]
            return f"the run after it wrote something else: {', '.join(names[:4])}"
        expected = tuple(all_of - there for all_of, there in zip(self.made, before, strict=True))
        if made(done.said) != expected:
            return f"made {made(done.said)} images and captions again, {expected} were lacking"
        if left := self.workshop.litter():
            return f"left: {', '.join(left)}"
        self._whole.add(found_there)
        return ""
