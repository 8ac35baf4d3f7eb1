"""How long does each head take, and do the authors' programs give the same logits?

    python benchmarks/heads.py                                   every head on 1,600 × 512, 100 classes
    python benchmarks/heads.py knn lp++                          some of them
    python benchmarks/heads.py --tip-adapter DIR --lp++ DIR      beside checkouts of the authors' code

The checkouts are of https://github.com/gaopengcuhk/Tip-Adapter and
https://github.com/FereshteShakeri/FewShot-CLIP-Strong-Baseline. Their functions run unchanged, on the CPU, on the same
random features in double precision: ``.cuda()`` does nothing, modules that only load images are replaced by empty
ones, and logits are read from their variables. What else is changed is printed beside the difference it explains.
"""

import argparse
import contextlib
import importlib
import io
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlmbench.heads import tip_adapter_f
from vlmbench.heads.spec import FittedHead, HeadData, heads, load_head
from vlmbench.heads.zeroshot import ZeroShotWeights
from vlmbench.heads.zeroshot import logits as zero_shot_logits
from vlmbench.metrics.rows import normalise

CLASSES, WIDTH, SHOTS, SCALE = 100, 512, 16, 100.0
IMAGES = (
    "clip",
    "datasets",
    "datasets.utils",
    "torchvision",
    "torchvision.transforms",
    "matplotlib",
    "matplotlib.pyplot",
    "yaml",
    "tqdm",
)
"""Modules that their files import and these functions do not need; tqdm's progress bar is left out."""
NOISE, OFFSET = 2.2, 0.8
"""Features have a common offset, as CLIP's do, and so much noise that no head is perfect."""


def made(seed: int = 0) -> tuple[HeadData, np.ndarray, np.ndarray]:
    """Training data with validation images, and test features and labels."""
    rng = np.random.default_rng(seed)
    common = OFFSET * normalise(rng.normal(size=(1, WIDTH)))
    centres = normalise(rng.normal(size=(CLASSES, WIDTH)))
    text = normalise(0.4 * centres + common + rng.normal(size=(CLASSES, WIDTH)) / WIDTH**0.5).astype(np.float32)

    def draw(each: int) -> tuple[np.ndarray, np.ndarray]:
        y = np.repeat(np.arange(CLASSES), each)
        noise = NOISE * rng.normal(size=(len(y), WIDTH)) / WIDTH**0.5
        return normalise(centres[y] + common + noise).astype(np.float32), y

    (x, y), (x_val, y_val), (x_test, y_test) = draw(SHOTS), draw(4), draw(10)
    names = tuple(map(str, range(CLASSES)))
    zero_shot = ZeroShotWeights(text, SCALE, 0.0, ("{}",), names, "")
    data = HeadData(
        x=x, y=y, classes=CLASSES, x_val=x_val, y_val=y_val, metric="accuracy", zero_shot=zero_shot, label="random"
    )
    return data, x_test, y_test


def fitted(name: str, data: HeadData, **settings: Any) -> tuple[FittedHead, float, float]:
    """A head, and the seconds (wall, CPU) that its fit takes."""
    spec = load_head(name)
    own = replace(data, settings={**spec.settings, **settings}, zero_shot=data.zero_shot if spec.text else None)
    if not spec.validation:
        own = replace(own, x_val=None, y_val=None)
    wall, cpu = time.perf_counter(), time.process_time()
    head = spec.fit(own)
    return head, time.perf_counter() - wall, time.process_time() - cpu


def double(data: HeadData) -> HeadData:
    """The same in double precision."""
    if data.zero_shot is None or data.x_val is None:
        raise ValueError("no text or no validation images")
    zero_shot = replace(data.zero_shot, weights=normalise(data.zero_shot.weights.astype(np.float64)))
    return replace(
        data,
        x=normalise(data.x.astype(np.float64)),
        x_val=normalise(data.x_val.astype(np.float64)),
        zero_shot=zero_shot,
    )


@contextlib.contextmanager
def checkout(path: Path, *stubs: str) -> Iterator[None]:
    """Imports from a checkout, on the CPU, silently; modules named in `stubs` are empty."""

    def nothing(name: str) -> Callable[[Any], Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda items: items

    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])  # what torch.optim imports must not find empty modules
    empty: dict[str, Any] = {name: types.ModuleType(name) for name in stubs}
    for module in empty.values():
        module.__getattr__ = nothing
    saved, cuda = {name: sys.modules.get(name) for name in empty}, (torch.Tensor.cuda, torch.nn.Module.cuda)
    sys.modules.update(empty)
    sys.path.insert(0, str(path))
    torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *_: self  # type: ignore[assignment, method-assign]
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        torch.Tensor.cuda, torch.nn.Module.cuda = cuda  # type: ignore[assignment, method-assign]
        sys.path.remove(str(path))
        for name, module in saved.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def variables(call: Callable[[], object], name: str) -> tuple[dict[str, Any], float]:
    """The local variables of the function `name` as it returns during `call`, and the seconds of CPU that took."""
    found: dict[str, Any] = {}

    def watch(frame: types.FrameType, event: str, _: object) -> None:
        if event == "return" and frame.f_code.co_name == name:
            found.update(frame.f_locals)

    started = time.process_time()
    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(None)
    return found, time.process_time() - started


class Loader:
    """Batches of features as the authors' loaders of images, in the order in which the head takes them."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, batch: int, seed: int | None) -> None:
        self.x, self.y, self.batch = x, y, batch
        self.shuffled = None if seed is None else np.random.default_rng(seed)

    def __len__(self) -> int:
        return -(-len(self.x) // self.batch)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        order = np.arange(len(self.x)) if self.shuffled is None else self.shuffled.permutation(len(self.x))
        for first in range(0, len(order), self.batch):
            rows = order[first : first + self.batch]
            yield self.x[rows].clone(), self.y[rows]


def line(what: str, theirs: np.ndarray, ours: np.ndarray, seconds: float, own: float, note: str = "") -> None:
    worst = float(np.abs(np.asarray(theirs, np.float64) - ours).max())
    agree = float((theirs.argmax(axis=1) == ours.argmax(axis=1)).mean())
    print(
        f"{what:38} largest difference of logits {worst:.1e}, same predictions {100 * agree:.1f} %, "
        f"CPU {seconds:.2f} s theirs, {own:.2f} s ours{note}"
    )


def tip_adapter(path: Path, data: HeadData, x_test: np.ndarray, y_test: np.ndarray) -> None:
    """Tip-Adapter and Tip-Adapter-F beside the authors' ``main.py``."""
    data = double(data)
    x, x_val, text = (torch.as_tensor(part) for part in (data.x, data.x_val, data.zero_shot.weights))
    y, y_val, test = torch.as_tensor(data.y), torch.as_tensor(data.y_val), torch.as_tensor(x_test.astype(np.float64))
    one_hot = torch.nn.functional.one_hot(y).double()
    model = types.SimpleNamespace(dtype=torch.float64, encode_image=lambda images: images)
    with tempfile.TemporaryDirectory() as caches, checkout(path, *IMAGES):
        import_main = importlib.import_module("main")
        cfg = {"search_hp": True, "search_scale": [7, 3], "search_step": [4, 4], "init_beta": 5.5, "init_alpha": 1.0}
        cfg |= {"lr": 0.001, "train_epoch": 20, "cache_dir": caches, "shots": SHOTS}
        shared = (cfg, x.T.clone(), one_hot, x_val, y_val, test, torch.as_tensor(y_test), text.T)
        captured: list[torch.Tensor] = []

        def accuracy(output: torch.Tensor, target: torch.Tensor) -> float:
            """Theirs, which fails with NumPy 2.4; and what it was asked about."""
            captured.append(output)
            return 100 * float((output.argmax(dim=1) == target).double().mean())

        import_main.cls_acc = sys.modules["utils"].cls_acc = accuracy  # type: ignore[attr-defined]
        plain, seconds = variables(lambda: import_main.run_tip_adapter(*shared), "run_tip_adapter")
        captured.clear()
        loader = Loader(x, y, tip_adapter_f.BATCH, data.seed)
        started = time.process_time()
        import_main.run_tip_adapter_F(*shared, model, loader)
        tuned = time.process_time() - started
    head, _, own = fitted("tip-adapter", data, alpha=plain["best_alpha"], beta=plain["best_beta"])
    theirs = plain["tip_logits"].numpy()
    note = (
        f" (theirs with a search of 16; alpha {plain['best_alpha']:.2f}, beta {plain['best_beta']:.2f} given to ours)"
    )
    line("tip-adapter", theirs, head.logits(x_test), seconds, own, note)
    exact = (
        head.alpha * np.exp(-head.beta * (1 - x_test @ data.x.T)) @ one_hot.numpy() + SCALE * x_test @ text.numpy().T
    )
    line("  its equation in float64", theirs, exact, seconds, own)
    per_epoch = len(loader) + 1  # training batches, then the test set
    last = captured[per_epoch * 20 - 1].detach().numpy()
    bare = replace(data, x_val=None, y_val=None)
    head, _, own = fitted("tip-adapter-f", bare)
    moved = float(np.abs(last - fitted("tip-adapter", bare)[0].logits(x_test)).max())
    line(
        "tip-adapter-f, after 20 epochs",
        last,
        head.logits(x_test),
        tuned,
        own,
        f" (training moved logits by {moved:.1e})",
    )


def lp_plus_plus(path: Path, data: HeadData, x_test: np.ndarray, y_test: np.ndarray) -> None:
    """LP++ beside the authors' ``methods/linear_probe_p2.py``."""
    data = double(data)
    x, x_val, text = (torch.as_tensor(part) for part in (data.x, data.x_val, data.zero_shot.weights))
    y, y_val, test = torch.as_tensor(data.y), torch.as_tensor(data.y_val), torch.as_tensor(x_test.astype(np.float64))
    model = types.SimpleNamespace(dtype=torch.float64, encode_image=lambda images: images)
    for cleared in (False, True):
        with checkout(path, *IMAGES):
            package = types.ModuleType("methods")  # without its __init__, which imports every method
            package.__path__ = [str(path / "methods")]  # type: ignore[attr-defined]
            sys.modules["methods"] = package
            theirs = importlib.import_module("methods.linear_probe_p2")
            utils = importlib.import_module("methods.utils")
            utils.get_one_hot = lambda labels, num_classes: torch.nn.functional.one_hot(labels, num_classes).double()
            begin, clear = torch.nn.Linear.reset_parameters, torch.optim.SGD.zero_grad
            alphas: list[torch.Tensor] = []

            def start(self: torch.nn.Linear) -> None:
                torch.nn.init.zeros_(self.bias)

            def variable(value: torch.Tensor, requires_grad: bool, alphas: list[torch.Tensor] = alphas) -> torch.Tensor:
                alphas.append(value.requires_grad_(requires_grad))
                return alphas[-1]

            def clear_all(self: Any, *words: Any, alphas: list[torch.Tensor] = alphas, clear: Any = clear) -> None:
                clear(self, *words)
                for alpha in alphas:
                    alpha.grad = None

            torch.nn.Linear.reset_parameters = start  # type: ignore[method-assign]
            if cleared:
                theirs.Variable, torch.optim.SGD.zero_grad = variable, clear_all  # type: ignore[method-assign]
            try:
                method = theirs.LinearProbe_P2({"train_epoch": 300, "shots": SHOTS, "dataset": "", "output_dir": ""})
                loaders = Loader(x, y, 256, None), Loader(x_val, y_val, 256, None)
                call = partial(method.forward, *loaders, test, torch.as_tensor(y_test), text.T, model, [])
                found, seconds = variables(call, "forward")
            finally:
                torch.nn.Linear.reset_parameters = begin  # type: ignore[method-assign]
                torch.optim.SGD.zero_grad = clear  # type: ignore[method-assign]
                for name in [name for name in sys.modules if name.split(".")[0] == "methods"]:
                    del sys.modules[name]
        steps = found["best_epoch"] + 1
        bare = replace(data, x_val=None, y_val=None)
        head, _, own = fitted("lp++", bare, steps=steps)
        what = "lp++, alpha's gradient cleared" if cleared else "lp++, as it is"
        why = (
            "" if cleared else "; theirs never clears alpha's gradient, so a step of alpha is by the sum of all so far"
        )
        line(
            what,
            found["logits_test"].detach().numpy(),
            head.logits(x_test.astype(np.float64)),
            seconds * steps / 300,
            own,
            f" (at step {steps}, which theirs takes; its intercepts start at 0 instead of at random{why})",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("heads", nargs="*", help="names of heads; default: all")
    parser.add_argument("--tip-adapter", type=Path, metavar="DIR")
    parser.add_argument("--lp++", type=Path, metavar="DIR", dest="lp")
    arguments = parser.parse_args()
    data, x_test, y_test = made()
    zero = (zero_shot_logits(x_test, data.zero_shot).argmax(axis=1) == y_test).mean()
    print(f"{len(data.x):,} × {WIDTH}, {CLASSES} classes, {len(data.x_val)} validation images")
    print(f"zero-shot: {100 * zero:.1f} % of {len(x_test):,} test images; {torch.get_num_threads()} threads")
    fitted("prototype", data)
    for name in arguments.heads or heads():
        head, wall, cpu = fitted(name, data)
        right = (head.logits(x_test).argmax(axis=1) == y_test).mean()
        print(f"{name:16} {wall:8.3f} s wall, {cpu:8.3f} s CPU, {100 * right:5.1f} %", flush=True)
    if arguments.tip_adapter:
        tip_adapter(arguments.tip_adapter.resolve(), data, x_test, y_test)
    if arguments.lp:
        lp_plus_plus(arguments.lp.resolve(), data, x_test, y_test)


if __name__ == "__main__":
    main()
