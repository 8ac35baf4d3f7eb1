import csv
from pathlib import Path

import pytest

from vlmbench.data.base import readable_names
from vlmbench.data.bundled import bundled_names
from vlmbench.data.catalogue import CAPTIONED, expand, groups, listed, names
from vlmbench.encoders.registry import MODELS
from vlmbench.foundations.errors import UsageError
from vlmbench.metrics.classification import metric_names

FACTS = Path(__file__).parents[2].parent / "shared" / "facts"


def test_no_name_is_without_source_metric_or_group():
    known = {*metric_names(2), *metric_names(10), *metric_names(3, multilabel=True)}
    for entry in listed().values():
        assert entry.source, entry.name
        assert entry.group, entry.name
        assert entry.metric in known or entry.group == CAPTIONED, entry.name
        assert entry.hub_id.count("/") == 1


def test_names_are_unique_and_shadow_no_bundled_set():
    assert len(names()) == len(set(names()))
    assert not set(bundled_names()) & set(listed())


@pytest.mark.skipif(not FACTS.is_dir(), reason="the fact tables lie beside the repository, not in it")
def test_every_row_of_the_facts_that_has_an_id_is_there_with_its_revision():
    with open(FACTS / "datasets.csv", encoding="utf-8", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["hub_id"]]
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
    assert expand(["digits", "group:text", "mnist"]) == ["digits", *found["text"]]
    with pytest.raises(UsageError, match="no such group: nowhere"):
        expand(["group:nowhere"])


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
