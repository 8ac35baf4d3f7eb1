"""A hub dataset is added by one row of the catalogue, as CONTRIBUTING says."""

import json
import re
from pathlib import Path

from hub_clients import command, environment
from hub_repositories import parquet, png

ROOT = Path(__file__).parents[2]


def test_the_row_that_contributing_shows_is_enough(hub, tmp_path, processes):
    import datasets

    (row,) = re.findall(r"`(my_pets,[^`]*)`", (ROOT / "CONTRIBUTING.md").read_text().replace("\n", " "))
    copy = tmp_path / "copy" / "vlmbench"
    (copy / "data").mkdir(parents=True)
    for path in [*(ROOT / "vlmbench").iterdir(), *(ROOT / "vlmbench" / "data").iterdir()]:
        target = copy / path.relative_to(ROOT / "vlmbench")
        if path.name not in ("data", "datasets.csv", "__pycache__"):
            target.symlink_to(path)
    table = (ROOT / "vlmbench" / "data" / "datasets.csv").read_text()
    (copy / "data" / "datasets.csv").write_text(f"{table}{row}\n")
    assert row.count(",") == table.partition("\n")[0].count(",")
    columns = {
        "picture": (datasets.Image(), lambda i: {"bytes": png(40 * i), "path": None}),
        "breed": (datasets.ClassLabel(names=["pug", "tabby_cat"]), lambda i: i % 2),
    }
    hub.repositories = {("datasets", "me/my-pets"): parquet(tmp_path / "r", **columns)}
    commands = [
        command(tmp_path, "zeroshot", "-m", "tiny-clip", "-d", "my_pets"),
        ["list", "datasets", "--json"],
    ]
    found = []
    for words in commands:
        env = environment(hub, tmp_path)
        done = processes.python(processes.COMMAND, env, *words, cwd=tmp_path, path=[str(copy.parent)])
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    assert [(run["dataset"], run["n"]) for run in found[0]["results"]] == [("my_pets", 6)]
    record = json.loads((Path(found[0]["results"][0]["path"]) / "result.json").read_text())
    assert record["protocol"]["classnames"] == ["pug", "tabby cat"]
    assert record["protocol"]["metric"] == "accuracy"
    assert {"my_pets"} == {row["name"] for row in found[1]["datasets"] if row["where"] == "me/my-pets"}
