import csv
from pathlib import Path

import pytest

from vlmbench.data import catalogue
from vlmbench.data.base import readable_names
from vlmbench.data.bundled import bundled_names
from vlmbench.data.catalogue import CAPTIONED, expand, groups, listed, names
from vlmbench.data.elsewhere import ELSEWHERE
from vlmbench.data.open import open_dataset
from vlmbench.encoders.models import MODELS
from vlmbench.foundations.errors import AbsentError, UsageError
from vlmbench.metrics.classification import metric_names

FACTS = Path(__file__).parents[2].parent / "shared" / "facts"


def test_no_name_is_without_source_metric_or_group():
    known = {*metric_names(2), *metric_names(10), *metric_names(3, multilabel=True)}
    for table in ("datasets.csv", "captioned.csv"):
        with open(Path(catalogue.__file__).with_name(table), encoding="utf-8", newline="") as handle:
            assert [row["name"] for row in csv.DictReader(handle) if not row["source"]] == []
    for entry in listed().values():
        assert entry.group, entry.name
        assert entry.metric in known or entry.group == CAPTIONED, entry.name
        assert entry.hub_id.count("/") == 1


def test_names_are_unique_and_shadow_no_bundled_set():
    assert len(names()) == len(set(names()))
    assert not set(bundled_names()) & set(listed())


@pytest.mark.skipif(not FACTS.is_dir(), reason="the fact tables lie beside the repository, not in it")
def test_every_row_of_the_facts_that_has_an_id_is_there_with_its_revision():
    with open(FACTS / "datasets.csv", encoding="utf-8", newline="") as handle:
        everything = list(csv.DictReader(handle))
    ids = ("hub_id", "wds_id", "datacomp_id", "unibench_id")
    for row in everything:
        assert (row["name"] in listed()) == any(row[column] for column in ids), row["name"]
        assert row["name"] in listed() or row["name"] in ELSEWHERE
    rows = [row for row in everything if row["hub_id"]]
    assert len(rows) > 25
    for row in rows:
        entry = listed()[row["name"]]
        assert (entry.hub_id, entry.revision or "") == (row["hub_id"], row["revision"])
        assert (entry.image, entry.label) == (row["image_column"] or None, row["label_column"] or None)


def test_groups_answer_the_missions_questions():
    found = groups()
    assert {"natural", "fine-grained", "abstract", "specialised", "text", "imagenet", "clip27", "vtab"} <= set(found)
    assert {"cars", "flowers102", "fgvc_aircraft", "pets", "food101"} <= set(found["fine-grained"])
    assert {"clevr_count_all", "kitti_closest_vehicle_distance"} <= set(found["abstract"])
    assert [str(ref) for ref in expand(["digits", "group:text", "mnist"])] == ["digits", *found["text"]]
    with pytest.raises(UsageError, match="no such group: nowhere"):
        expand(["group:nowhere"])


def test_what_follows_a_group_goes_for_its_members_on_the_hub():
    streamed = [str(ref) for ref in expand(["group:abstract?stream=yes"])]
    assert streamed == [
        f"{ref}?stream=yes" if ref.place in listed() else str(ref) for ref in expand(["group:abstract"])
    ]
    assert "clevr_count_all?stream=yes" in streamed


def test_binary_sets_of_the_design_go_by_roc_auc_and_record_accuracy_too():
    for name in ("patch_camelyon", "wds/patch_camelyon", "datacomp/patch_camelyon", "camelyon17"):
        assert (listed()[name].metric, listed()[name].classes) == ("roc_auc", 2)
    assert {"roc_auc", "accuracy"} <= set(metric_names(2))


NAMED = """cars flowers102 fgvc_aircraft pets birdsnap food101 clevr_count_all clevr_closest_object_distance
dsprites_label_orientation dsprites_label_x_position smallnorb_label_azimuth smallnorb_label_elevation
kitti_closest_vehicle_distance eurosat resisc45 patch_camelyon diabetic_retinopathy sipakmed herlev mnist svhn
rendered_sst2 gtsrb coco_karpathy mscoco_captions flickr30k flickr8k nocaps textcaps"""


@pytest.mark.parametrize("name", NAMED.split())
def test_every_set_that_was_promised_is_listed_or_says_how_to_get_it(name, tmp_path):
    if name in listed():
        assert name in groups()[listed()[name].group]
        return
    with pytest.raises(AbsentError, match=f"no copy of {name} on the hub is known") as caught:
        open_dataset(name, tmp_path)
    assert caught.value.exit_code == 4
    assert "folder:PATH" in caught.value.fix or "coco:ANNOTATIONS.json#DIRECTORY" in caught.value.fix
    assert ELSEWHERE[name][0] in caught.value.what


def test_a_mistyped_name_of_a_set_without_a_copy_is_suggested(tmp_path):
    with pytest.raises(AbsentError) as caught:
        open_dataset("sipakmd", tmp_path)
    assert "sipakmed" in caught.value.fix


def test_every_model_has_a_kind_and_a_source():
    for entry in MODELS.values():
        assert entry.kind in {"dual-encoder", "backbone"}
        assert entry.source
        assert entry.about


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (["AnnualCrop", "Forest", "SeaLake"], ("Annual Crop", "Forest", "Sea Lake")),
        (["BMW M3", "McLaren"], ("BMW M3", "McLaren")),
        (["traffic_light", "OpenDoor"], ("traffic light", "OpenDoor")),
    ],
)
def test_names_run_together_are_parted(raw, expected):
    assert readable_names(raw) == expected
