"""How a dataset is called in CLIP_benchmark's files, and which repository of its collection is its copy."""

import pytest

from vlmbench.data.catalogue import listed
from vlmbench.data.hub.sibling import benchmark_names, other_copies, sibling_of


@pytest.mark.parametrize(
    ("id", "names"),
    [
        ("cifar10", ("wds/vtab/cifar10", "vtab/cifar10", "cifar10_vtab", "cifar10")),
        ("flowers102", ("wds/vtab/flowers", "vtab/flowers", "flowers_vtab", "flowers", "flowers102")),
        ("wds/imagenet-a", ("wds/imagenet-a", "imagenet-a")),
        ("rendered_sst2?stream=yes", ("wds/renderedsst2", "renderedsst2", "rendered_sst2")),
        ("food101", ("food101",)),
        ("datacomp/food101", ("datacomp/food101", "food101")),
        ("digits", ("digits",)),
        ("hf:djghosh/wds_stl10_test", ("wds/stl10", "stl10", "hf:djghosh/wds_stl10_test", "djghosh/wds_stl10_test")),
        ("hf:me/pets@main:plain", ("hf:me/pets@main:plain", "me/pets", "pets")),
        ("folder:data/pets", ("folder:data/pets", "data/pets", "pets")),
        ("file:data/pets.csv", ("file:data/pets.csv", "data/pets.csv", "pets.csv", "pets")),
    ],
)
def test_the_names_of_a_dataset_in_files_by_dataset(id, names):
    assert benchmark_names(id)[: len(names)] == names


def test_the_copy_is_known_for_every_copy_of_a_listed_set_and_for_no_other():
    assert sibling_of("cifar10") == sibling_of("wds/cifar10") == sibling_of("datacomp/cifar10?stream=yes")
    assert sibling_of("cifar10") == "clip-benchmark/wds_vtab-cifar10"
    for other in ("food101", "digits", "hf:mteb/cifar10", "folder:cifar10", "flickr8k", "cifar"):
        assert sibling_of(other) is None
    assert other_copies("cifar10") == ["wds/cifar10", "datacomp/cifar10"]
    assert other_copies("folder:cifar10") == []
    for name, entry in listed().items():
        if name.startswith("wds/"):
            assert entry.wds_id == entry.hub_id == listed()[name.removeprefix("wds/")].wds_id
