"""Well-known datasets without a known copy on the hub: what to do instead."""

from vlmbench.foundations.errors import AbsentError

_FOLDER = "unpack it to PATH/<class name>/*.jpg (or PATH/{train,test}/<class name>/*.jpg), then -d folder:PATH"
_LIST = "write a list of its images and labels as CSV (file_name,label), then -d file:LIST.csv"

ELSEWHERE = {
    "sipakmed": ("SIPaKMeD, cells of Pap smears (Plissiti et al. 2018), comes from its authors", _FOLDER),
    "herlev": ("Herlev, cells of Pap smears (Jantzen et al. 2005), comes from its authors", _FOLDER),
    "hateful_memes": ("Hateful Memes (Kiela et al. 2020) has a licence of its own", _LIST),
    "kinetics700": ("Kinetics-700 is video; CLIP's protocol takes the middle frame of each clip", _FOLDER),
    "imagenet-w": ("ImageNet-W is ImageNet with a watermark drawn on it (Li et al. 2023)", _FOLDER),
    "coco_karpathy": (
        "the hub's copy of COCO's Karpathy split contains image URLs but no images",
        "-d mscoco_captions or -d nlphuji/mscoco_captions (its 5,000 test images), or "
        "-d coco:ANNOTATIONS.json#DIRECTORY with COCO's own files",
    ),
}
"""By name, what it is and what to do."""


def elsewhere(name: str) -> AbsentError | None:
    """The error for a known name that is not on the hub; None for any other name."""
    found = ELSEWHERE.get(name.lower().replace("-", "_") if name.lower() not in ELSEWHERE else name.lower())
    if found is None:
        return None
    return AbsentError(f"no copy of {name} on the hub is known: {found[0]}", where=name, fix=found[1])
