"""The captioners that have a short name, and the forms a captioner's name can take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One named captioner.

    Attributes:
        hub_id: where it is; empty for one that ships with the package.
        revision: pinned commit, if one is.
        about: what it is.
    """

    hub_id: str
    revision: str | None
    about: str


CAPTIONERS: dict[str, Entry] = {
    "tiny-captioner": Entry(
        "",
        None,
        "the small encoder-decoder that ships with vlmbench; it knows rendered shapes, digits and letters only",
    ),
    "blip-base": Entry(
        "Salesforce/blip-image-captioning-base",
        "89b09ea1789f7addf2f6d6f0dfc4ce10ab58ef84",
        "BLIP ViT-B, tuned on COCO captions",
    ),
    "blip-large": Entry(
        "Salesforce/blip-image-captioning-large",
        "2227ac38c9f16105cb0412e7cab4759978a8fd90",
        "BLIP ViT-L, tuned on COCO captions",
    ),
    "blip2-opt-2.7b": Entry(
        "Salesforce/blip2-opt-2.7b",
        "51572668da0eb669e01a189dc22abe6088589a24",
        "BLIP-2 with OPT 2.7B, not tuned on captions",
    ),
    "vit-gpt2": Entry("nlpconnect/vit-gpt2-image-captioning", None, "ViT and GPT-2, tuned on COCO captions"),
    "git-base-coco": Entry("microsoft/git-base-coco", None, "GIT base, tuned on COCO captions"),
    "smolvlm-256m": Entry("HuggingFaceTB/SmolVLM-256M-Instruct", None, "SmolVLM, the smallest"),
}

FORMS = (
    "an alias (vlmbench list models), a hub id, a directory saved by transformers, retrieval:DUAL_ENCODER, "
    "asif:IMAGES[,TEXTS], magic:LANGUAGE_MODEL,DUAL_ENCODER, or endpoint:URL#MODEL"
)
