"""A message is written once: to who calls from Python it names the argument, in a command the option."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import vlmbench
from vlmbench.cli.app import app
from vlmbench.errors import VlmbenchError
from vlmbench.foundations.spelling import as_options, spell

COMMANDS = re.compile(r"(vlmbench [a-z]|pip install|hf download).*")
M = "-m tiny-clip -d digits"
P = f"linear-probe {M}"
D = {"models": "tiny-clip", "datasets": "digits"}
C = {"references": {"1": ["a dog"]}, "candidates": {"1": "a dog"}}
CALLS: list[tuple[str, dict, str | None]] = [
    ("zeroshot", {**D, "limit": 0}, f"zeroshot {M} --limit 0"),
    ("zeroshot", {**D, "tiles": 99}, f"zeroshot {M} --tiles 99"),
    ("zeroshot", {**D, "tiles": 4, "boxes": "b.json"}, f"zeroshot {M} --tiles 4 --boxes b.json"),
    ("zeroshot", {**D, "holdout": 2.0}, f"zeroshot {M} --holdout 2"),
    ("zeroshot", {**D, "holdout": 0.5}, f"zeroshot {M} --holdout 0.5"),
    ("zeroshot", {**D, "metric": "map11"}, f"zeroshot {M} --metric map11"),
    ("zeroshot", {**D, "prompts": "nonsense"}, f"zeroshot {M} --prompts nonsense"),
    ("zeroshot", {**D, "prompts": ""}, f"zeroshot {M} --prompts ,"),
    ("zeroshot", {**D, "split": "no"}, f"zeroshot {M} --split no"),
    ("zeroshot", {**D, "classnames": "wds"}, f"zeroshot {M} --classnames wds"),
    ("zeroshot", {**D, "device": "tpu"}, None),
    ("linear_probe", {}, "linear-probe"),
    ("linear_probe", {**D, "shots": "x"}, f"{P} --shots x"),
    ("linear_probe", {**D, "c": -1}, f"{P} --c -1"),
    ("linear_probe", {**D, "solver": "newton"}, None),
    ("linear_probe", {**D, "head": "no"}, f"{P} --head no"),
    ("linear_probe", {**D, "init": "zeroshot", "solver": "sklearn"}, f"{P} --init zeroshot --solver sklearn"),
    ("linear_probe", {**D, "init": "zeroshot", "features_layer": "pre_proj"},
     f"{P} --init zeroshot --features-layer pre_proj"),
    ("linear_probe", {**D, "prompts": ["default", "clip80"], "shots": 1}, f"{P} --shots 1 --prompts default,clip80"),
    ("linear_probe", {**D, "head": ["logistic", "knn"], "save_probe": "x"},
     f"{P} --head logistic --head knn --save-probe x"),
    ("linear_probe", {"features": "f.npz", "holdout": 0.5}, None),
    ("retrieval", {"models": "tiny-clip", "datasets": "scenes", "rerank": 3},
     "retrieval -m tiny-clip -d scenes --rerank 3"),
    ("retrieval", D, f"retrieval {M}"),
    ("score_captions", {**C, "metrics": "blue"}, "caption-eval -r r.json -p p.json --metrics blue"),
    ("score_captions", {**C, "metrics": "clipscore"}, "caption-eval -r r.json -p p.json --metrics clipscore"),
    ("score_captions", {**C, "backend": "perl"}, "caption-eval -r r.json -p p.json --backend perl"),
    ("score_captions", {**C, "candidates": {"1": ""}}, "caption-eval -r r.json -p empty.json"),
    ("score_captions", {"references": "r.json", "candidates": "q.json"}, "caption-eval -r r.json -p q.json"),
    ("score_captions", {**C, "columns": "picture=x"}, "caption-eval -r r.json -p p.json --columns picture=x"),
    ("metric_eval", {"judgements": "j.csv", "references": "r.json", "metrics": "clipscore"},
     "metric-eval -j j.csv -r r.json --metrics clipscore"),
    ("metric_eval", {"judgements": "j.csv", "resamples": 3}, None),
    ("caption", {"captioners": "tiny-captioner"}, "caption -m tiny-captioner"),
    ("caption", {"captioners": "tiny-captioner", "images": "x.png", "num_beams": 0}, None),
    ("caption", {"captioners": "retrieval:tiny-clip", "images": "x.png"}, "caption -m retrieval:tiny-clip x.png"),
    ("caption", {"captioners": "tiny-captioner", "images": "x.png", "num_beams": 2, "temperature": 1.0},
     "caption -m tiny-captioner x.png --num-beams 2 --temperature 1"),
    ("score_captioners", {"captioners": "endpoint:http://a.b/v1#m", "dataset": "scenes", "offline": True},
     "caption-eval --captioner endpoint:http://a.b/v1#m -d scenes --offline"),
    ("score_captioners", {"captioners": "tiny-captioner", "dataset": "digits", "metrics": "bleu"},
     "caption-eval --captioner tiny-captioner -d digits --metrics bleu"),
    ("embed", {"model": "tiny-clip", "dataset": "digits", "shard": "3/2"}, f"embed {M} --shard 3/2"),
    ("embed", {"model": "pixels", "dataset": "digits", "features_layer": "proj"},
     "embed -m pixels -d digits --features-layer proj"),
    ("predict", {"probe": "no.safetensors", "images": "x.png"}, "predict -p no.safetensors x.png"),
    ("predict", {"probe": "f.npz", "images": "x.png"}, "predict -p f.npz x.png"),
    ("check", {"baseline": "b", "current": "c", "tolerances": 99}, "check --baseline b --tolerance 99 c"),
    ("check", {"baseline": "b", "current": "c", "level": 3}, None),
    ("compare", {"runs": "nowhere"}, "compare nowhere"),
    ("verify", {"runs": "nowhere"}, "verify nowhere"),
    ("power", {"runs": "nowhere", "delta": 0.02}, "power nowhere --delta 0.02"),
    ("power", {"delta": 0.02, "disagreement": 0.01}, "power --delta 0.02 --disagreement 0.01"),
    ("save_baseline", {"path": "b.json", "runs": "nowhere"}, "check --update --baseline b.json nowhere"),
    ("load_runs", {"paths": "nowhere"}, None),
]  # fmt: skip
"""Of every function calls that are wrong, with the command that is wrong alike."""
WRITE = {"out", "cache_dir"}


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLMBENCH_CACHE_DIR", str(tmp_path / "cache"))
    x, y = np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1])
    np.savez("f.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    for name, text in {
        "r": '{"1": ["a dog"]}',
        "p": '{"1": "a dog"}',
        "q": '{"2": "a cat"}',
        "empty": '{"1": ""}',
    }.items():
        Path(f"{name}.json").write_text(text)
    Path("j.csv").write_text("image_id,candidate,rating\n1,a dog,1\n1,a cat,2\n")
    from PIL import Image

    Image.new("RGB", (8, 8)).save("x.png")
    return tmp_path


def without_commands(text: str) -> str:
    return COMMANDS.sub("", text)


@pytest.mark.parametrize(
    ("name", "arguments", "words"), CALLS, ids=[f"{name}-{n}" for n, (name, *_) in enumerate(CALLS)]
)
def test_the_api_names_arguments_and_the_command_options(place, name, arguments, words):
    function: Callable = getattr(vlmbench, name)
    runs = {"out": place / "out", "cache_dir": place / "cache"} if name in RUNS else {}
    with pytest.raises(VlmbenchError) as caught:
        function(**arguments, **runs)
    said = without_commands(str(caught.value))
    assert not re.search(r"(?<![\w-])--?[a-z]", said), said
    if words is None:
        assert re.search(r"\b[a-z_]+=|path", said) or "nowhere" in said, said
        return
    done = CliRunner().invoke(app, words.split())
    assert done.exit_code in (2, 3, 4), done.output
    given = "|".join(inspect.signature(function).parameters)
    assert not re.search(rf"\b({given})=", without_commands(done.stderr)), done.stderr


RUNS = {
    "zeroshot",
    "caption",
    "score_captioners",
    "linear_probe",
    "retrieval",
    "score_captions",
    "metric_eval",
    "embed",
    "predict",
}


def test_every_function_is_called_wrongly():
    no_error = {"demo", "doctor", "run_plan"}
    functions = {
        n for n in vlmbench.__all__ if n[0].islower() and callable(getattr(vlmbench, n)) and not n.startswith("list_")
    }
    assert functions - {name for name, *_ in CALLS} <= no_error


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("--holdout: 2 is not a fraction between 0 and 1", "holdout=: 2 is not a fraction between 0 and 1"),
        ("--shots 1,2,all and --seeds 5", "shots='1,2,all' and seeds=5"),
        ("leave --on-bad-image skip out, or --limit", "leave on_bad_image='skip' out, or limit="),
        ("name it: -d DATASET, or --df-from FILE", "name it: datasets=, or document_frequency="),
        ("without --offline, or hf download x --repo-type y", "without offline=, or hf download x --repo-type y"),
        ("vlmbench linear-probe -m MODEL --save-probe FILE", "vlmbench linear-probe -m MODEL --save-probe FILE"),
        ("allow it with --allow-missing, or --update", "allow it with allow_missing=, or save_baseline"),
        ("a--b and x-d are no options", "a--b and x-d are no options"),
    ],
)  # fmt: skip
def test_one_text_two_spellings(text, python):
    assert spell(text) == python
    assert spell(python) == python
    with as_options():
        assert spell(text) == text
