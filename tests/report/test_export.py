"""The hub's ``.eval_results``, read back with huggingface_hub's own reader."""

from pathlib import Path

import pytest
import yaml
from factory import write_classification
from huggingface_hub import EvalResultEntry, parse_eval_result_entries

from vlmbench.records.store import find_runs
from vlmbench.report.export import eval_results

REVISION = "0123456789abcdef0123456789abcdef01234567"


def read(files: dict[str, str]) -> dict[str, EvalResultEntry]:
    found = {}
    for name, text in files.items():
        (found[name],) = parse_eval_result_entries(yaml.safe_load(text))
    return found


def test_an_entry_is_the_main_metric_on_the_hubs_dataset(tmp_path: Path) -> None:
    facts = {"revision": REVISION}
    run = write_classification(tmp_path, dataset="hf:owner/birds@main:small", dataset_facts=facts)
    ((name, entry),) = read(eval_results([run])).items()
    assert name.startswith("tiny-clip/zeroshot-tiny-clip-")
    assert (entry.dataset_id, entry.task_id, entry.dataset_revision) == ("owner/birds", "small", REVISION)
    assert entry.value == round(100 * run.record.metrics["accuracy"].value, 2)
    assert entry.notes == f"zeroshot, test, accuracy: {run.record.signature}"


def test_variants_are_files_of_their_own_and_none_is_lost(tmp_path: Path) -> None:
    given = [{"dataset": "cifar10"}, {"dataset": "cifar10", "task": "linear-probe"}]
    given += [{"dataset": "cifar10", "task": "linear-probe", "shots": k} for k in (1, 16)]
    given += [{"dataset": "cifar10", "protocol": {"prompts": prompts}} for prompts in ("dataset", "a {}: yes # no")]
    given += [{"dataset": "cifar10", "dataset_facts": {"split": "train"}}, {"dataset": "cifar10", "system": "other"}]
    for more in given:
        write_classification(tmp_path, **more)
    files = eval_results(find_runs([tmp_path]), {"cifar10": "uoft-cs/cifar10"})
    entries = read(files)
    assert len(entries) == len(given)
    assert {name.split("/")[0] for name in files} == {"tiny-clip", "other"}
    assert {entry.dataset_id for entry in entries.values()} == {"uoft-cs/cifar10"}
    assert {entry.task_id for entry in entries.values()} == {"default"}
    assert len({entry.notes for entry in entries.values()}) == len(given)
    assert sum("16 shots" in entry.notes for entry in entries.values()) == 1


@pytest.mark.parametrize("dataset", ["digits", "folder:a/b", "hf:./a/b", "hf:/a/b", "hf:../a", "file:a/b.csv", "hf:a"])
def test_what_is_not_on_the_hub_is_left_out(tmp_path: Path, dataset: str) -> None:
    assert eval_results([write_classification(tmp_path, dataset=dataset)]) == {}


def test_file_names_stay_inside_the_folder(tmp_path: Path) -> None:
    run = write_classification(tmp_path, system="../../etc", dataset="hf:owner/birds")
    (name,) = eval_results([run])
    folder, file = name.split("/")
    assert folder == "etc"
    assert file.startswith("zeroshot-")
