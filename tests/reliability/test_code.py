"""No code comes in with data: what the sources may not hold, and real files that would run something if they could."""

import ast
import io
import json
import os
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from vlmbench.cli.app import app

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("vlmbench", "benchmarks") for path in (ROOT / folder).rglob("*.py"))

MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "code", "imp"}
"""Modules that run what they read."""
FUNCTIONS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.startfile", "torch.hub.load",
             "pandas.read_pickle", "pd.read_pickle", "yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load",
             "subprocess.getoutput", "subprocess.getstatusoutput", "tempfile.mktemp",
             "ssl._create_unverified_context"}  # fmt: skip
"""Functions that run or trust what they are given."""
SWITCHES = {"shell": False, "allow_pickle": False, "trust_remote_code": False, "weights_only": True,
            "autoescape": True, "verify": True, "check_hostname": True, "use_safetensors": True}  # fmt: skip
"""Arguments whose constant value may be no other."""
NEEDED = {"torch.load": "weights_only", "Environment": "autoescape", "jinja2.Environment": "autoescape"}
"""Functions that are safe with an argument only."""


def unsafe(source: str) -> Iterator[str]:
    """What a source may not hold, each with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found = [f"import {name}" for name in names if name.partition(".")[0] in MODULES]
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            given = {word.arg: word.value for word in node.keywords}
            found = [name] if name in FUNCTIONS else []
            if name in NEEDED and NEEDED[name] not in given:
                found.append(f"{name} without {NEEDED[name]}")
            for word, safe in SWITCHES.items():
                value = given.get(word)
                if isinstance(value, ast.Constant) and value.value != safe:
                    found.append(f"{word}={value.value}")
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            plain = [(key.value, value.value) for key, value in pairs
                     if isinstance(key, ast.Constant) and isinstance(value, ast.Constant)]  # fmt: skip
            found = [f"{key}={value}" for key, value in plain if key in SWITCHES and value != SWITCHES[key]]
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value is True:
            found = [ast.unparse(node) for target in node.targets if "LOAD_TRUNCATED_IMAGES" in ast.unparse(target)]
        else:
            continue
        yield from (f"line {node.lineno}: {one}" for one in found)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_sources_run_nothing_that_they_read(path: Path) -> None:
    assert list(unsafe(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    ["import pickle", "from dill import loads", "import marshal as m", "eval(text)", "exec(text)", "os.system(line)",
     "subprocess.run(line, shell=True)", "yaml.load(text)", "torch.load(path)", "torch.load(path, weights_only=False)",
     "np.load(path, allow_pickle=True)", "AutoModel.from_pretrained(p, trust_remote_code=True)",
     "options = {'trust_remote_code': True}", "jinja2.Environment()", "pd.read_pickle(path)",
     "ImageFile.LOAD_TRUNCATED_IMAGES = True", "client(verify=False)"],
)  # fmt: skip
def test_what_may_not_be_there_is_found(line: str) -> None:
    assert len(list(unsafe(line))) == 1


class Mark:
    """Unpickled, it makes a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Path]:
    """A directory that is there only if a file's code was run."""
    yield tmp_path / "the code was run"
    assert not (tmp_path / "the code was run").exists()


@pytest.fixture
def run(tmp_path: Path, witness: Path) -> Callable[..., str]:
    """Runs a command, which has to refuse what it is given: 3 or 4, one error, and nothing was run."""

    def call(*arguments: object, codes: tuple[int, ...] = (3, 4)) -> str:
        words = [*map(str, arguments), "--cache-dir", str(tmp_path / "cache")]
        words += [] if words[0] == "predict" else ["-o", str(tmp_path / "out")]
        done = CliRunner().invoke(app, words)
        assert done.exit_code in codes, done.output
        assert "Traceback" not in done.output
        assert not witness.exists()
        return done.output

    return call


def pickled(how: str, mark: Mark, path: Path) -> Path:
    """A malicious file as each tool writes it."""
    arrays = np.empty(1, dtype=object)
    arrays[0] = mark
    if how == "pickle":
        path.write_bytes(pickle.dumps({"logit_scale": mark}))
    elif how == "torch":
        torch.save({"logit_scale": mark}, path)
    elif how == "torch, legacy":
        torch.save({"logit_scale": mark}, path, _use_new_zipfile_serialization=False)
    elif how == "npy":
        with path.open("wb") as file:
            np.save(file, arrays, allow_pickle=True)
    else:
        with path.open("wb") as file:
            np.savez(file, x_train=arrays, y_train=arrays, x_test=arrays, y_test=arrays)
    return path


WAYS = ("pickle", "torch", "torch, legacy", "npy", "npz")
PLACES: dict[str, list[str]] = {
    "features.npz": ["linear-probe", "--features", "{}"],
    "features.safetensors": ["linear-probe", "--features", "{}"],
    "probe.safetensors": ["predict", "-p", "{}", "{}"],
    "references.json": ["caption-eval", "-r", "{}", "-p", "{}"],
    "references.parquet": ["caption-eval", "-r", "{}", "-p", "{}"],
    "references.pkl": ["caption-eval", "-r", "{}", "-p", "{}"],
    "judgements.csv": ["metric-eval", "-j", "{}"],
    "set.parquet": ["zeroshot", "-m", "tiny-clip", "-d", "file:{}"],
    "set.tar": ["zeroshot", "-m", "tiny-clip", "-d", "file:{}"],
    "set.zip": ["zeroshot", "-m", "tiny-clip", "-d", "file:{}"],
    "prompts.json": ["zeroshot", "-m", "tiny-clip", "-d", "digits", "--prompts", "{}"],
    "names.json": ["zeroshot", "-m", "tiny-clip", "-d", "digits", "--classnames", "{}"],
    "boxes.json": ["zeroshot", "-m", "tiny-clip", "-d", "digits", "--boxes", "{}"],
}


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("name", PLACES)
def test_a_pickle_is_data_of_no_kind(name: str, how: str, run: Callable[..., str], witness: Path) -> None:
    path = pickled(how, Mark(witness), witness.parent / name)
    run(*(part.format(path) for part in PLACES[name]))


@pytest.mark.parametrize("how", WAYS[:3])
def test_a_plan_that_is_a_pickle(how: str, witness: Path) -> None:
    path = pickled(how, Mark(witness), witness.parent / "plan.toml")
    done = CliRunner().invoke(app, ["run", str(path)])
    assert (done.exit_code, witness.exists()) == (3, False), done.output


@pytest.mark.parametrize("how", WAYS[:3])
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_weights_that_are_a_malicious_pickle(
    name: str, how: str, run: Callable[..., str], witness: Path, checkpoints: Callable[[str], Path], colours: Path
) -> None:
    model = witness.parent / "model"
    shutil.copytree(checkpoints("clip"), model)
    (model / "model.safetensors").unlink()
    pickled(how, Mark(witness), model / name)
    run("zeroshot", "-m", model, "-d", f"folder:{colours}")


@pytest.mark.parametrize("how", ["npy", "pickle"])
def test_labels_of_a_webdataset_that_are_a_pickle(how: str, run: Callable[..., str], witness: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (9, 9)).save(picture, "PNG")
    label = pickled(how, Mark(witness), witness.parent / "label").read_bytes()
    with tarfile.open(witness.parent / "set.tar", "w") as tar:
        for name, data in (("0.png", picture.getvalue()), (f"0.{'npy' if how == 'npy' else 'pyd'}", label)):
            item = tarfile.TarInfo(name)
            item.size = len(data)
            tar.addfile(item, io.BytesIO(data))
    run("zeroshot", "-m", "tiny-clip", "-d", f"file:{witness.parent / 'set.tar'}")


CODE = 'import os\nos.mkdir(r"{}")\n'


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("config.json", {"auto_map": {"AutoModel": "own.Own", "AutoConfig": "own.Own"}, "model_type": "own"}),
        ("config.json", {"auto_map": {"AutoModel": "own.Own", "AutoConfig": "own.Own"}}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["own.Own", None]}, "tokenizer_class": "Own"}),
        ("preprocessor_config.json", {"auto_map": {"AutoImageProcessor": "own.Own"}, "image_processor_type": "Own"}),
        ("preprocessor_config.json", {"auto_map": {"AutoImageProcessor": "own.Own"}}),
    ],
)
def test_a_repository_with_code_of_its_own(
    file: str, values: dict[str, object], run: Callable[..., str], witness: Path,
    checkpoints: Callable[[str], Path], colours: Path,
) -> None:  # fmt: skip
    model = witness.parent / "model"
    shutil.copytree(checkpoints("clip"), model)
    (model / "own.py").write_text(CODE.format(witness) + "class Own: pass\n")
    data = json.loads((model / file).read_text())
    (model / file).write_text(json.dumps({**data, **values}))
    run("zeroshot", "-m", model, "-d", f"folder:{colours}", codes=(0, 3, 4))


def test_a_dataset_with_a_script(run: Callable[..., str], witness: Path, colours: Path) -> None:
    folder = witness.parent / "scripted"
    shutil.copytree(colours, folder)
    for name in ("scripted.py", "setup.py", "__init__.py", "conftest.py"):
        (folder / name).write_text(CODE.format(witness))
    run("zeroshot", "-m", "tiny-clip", "-d", f"hf:{folder}", codes=(0, 3, 4))
    shutil.rmtree(folder / "train")
    shutil.rmtree(folder / "test")
    run("zeroshot", "-m", "tiny-clip", "-d", f"hf:{folder}")


def test_archives_unpack_nothing_outside(run: Callable[..., str], witness: Path) -> None:
    with zipfile.ZipFile(witness.parent / "set.zip", "w") as archive:
        archive.writestr(f"../{witness.name}/a.png", b"x")
        archive.writestr(f"/{witness}/a.png", b"x")
    run("zeroshot", "-m", "tiny-clip", "-d", f"file:{witness.parent / 'set.zip'}")
    with tarfile.open(witness.parent / "set.tar", "w") as tar:
        link = tarfile.TarInfo("cat/a.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    run("zeroshot", "-m", "tiny-clip", "-d", f"file:{witness.parent / 'set.tar'}")
