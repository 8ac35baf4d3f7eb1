"""The captioners that have a short name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CaptionerEntry:
    """One named captioner.

    Attributes:
        hub_id: where it is; empty for one that ships with the package.
        revision: pinned commit, if one is.
        about: what it is.
    """

    hub_id: str
    revision: str | None
    about: str


CAPTIONERS: dict[str, CaptionerEntry] = {
    "tiny-captioner": CaptionerEntry(
        "",
        None,
        "ships with vlmbench: rendered shapes, digits and letters are all it knows",
    ),
    "blip-base": CaptionerEntry(
        "Salesforce/blip-image-captioning-base",
        "89b09ea1789f7addf2f6d6f0dfc4ce10ab58ef84",
        "BLIP, ViT-B, tuned on COCO captions",
    ),
    "blip-large": CaptionerEntry(
        "Salesforce/blip-image-captioning-large",
        "2227ac38c9f16105cb0412e7cab4759978a8fd90",
        "BLIP, ViT-L, tuned on COCO captions",
    ),
    "blip2-opt-2.7b": CaptionerEntry(
        "Salesforce/blip2-opt-2.7b",
        "51572668da0eb669e01a189dc22abe6088589a24",
        "BLIP-2, OPT 2.7B, not tuned on captions",
    ),
    "blip2-opt-6.7b-coco": CaptionerEntry(
        "Salesforce/blip2-opt-6.7b-coco",
        "0d580de59320a25a4d2c386387bcef310d5f286e",
        "BLIP-2, OPT 6.7B, tuned on COCO captions",
    ),
    "instructblip-vicuna-7b": CaptionerEntry(
        "Salesforce/instructblip-vicuna-7b",
        None,
        "InstructBLIP, Vicuna 7B",
    ),
    "git-base-coco": CaptionerEntry(
        "microsoft/git-base-coco",
        "a13141da42abd4a8cbf283601a8104265f537cee",
        "GIT base, tuned on COCO captions",
    ),
    "vit-gpt2": CaptionerEntry(
        "nlpconnect/vit-gpt2-image-captioning",
        "dc68f91c06a1ba6f15268e5b9c13ae7a7c514084",
        "ViT and GPT-2, tuned on COCO captions",
    ),
    "idefics-9b-instruct": CaptionerEntry(
        "HuggingFaceM4/idefics-9b-instruct",
        None,
        "IDEFICS, the open Flamingo",
    ),
    "idefics2-8b": CaptionerEntry(
        "HuggingFaceM4/idefics2-8b",
        None,
        "IDEFICS 2",
    ),
    "idefics3-8b": CaptionerEntry(
        "HuggingFaceM4/Idefics3-8B-Llama3",
        None,
        "IDEFICS 3",
    ),
    "smolvlm-256m": CaptionerEntry(
        "HuggingFaceTB/SmolVLM-256M-Instruct",
        None,
        "SmolVLM, the smallest",
    ),
    "smolvlm-500m": CaptionerEntry(
        "HuggingFaceTB/SmolVLM-500M-Instruct",
        None,
        "SmolVLM",
    ),
    "fuyu-8b": CaptionerEntry(
        "adept/fuyu-8b",
        None,
        "Fuyu",
    ),
    "kosmos-2": CaptionerEntry(
        "microsoft/kosmos-2-patch14-224",
        None,
        "Kosmos-2",
    ),
    "paligemma-3b-mix-448": CaptionerEntry(
        "google/paligemma-3b-mix-448",
        None,
        "PaliGemma, tuned on a mix of tasks",
    ),
    "florence-2-base": CaptionerEntry(
        "florence-community/Florence-2-base",
        None,
        "Florence-2 base",
    ),
    "llava-1.5-7b": CaptionerEntry(
        "llava-hf/llava-1.5-7b-hf",
        None,
        "LLaVA 1.5",
    ),
    "llava-next-mistral-7b": CaptionerEntry(
        "llava-hf/llava-v1.6-mistral-7b-hf",
        None,
        "LLaVA-NeXT, Mistral 7B",
    ),
    "qwen2-vl-2b": CaptionerEntry(
        "Qwen/Qwen2-VL-2B-Instruct",
        None,
        "Qwen2-VL",
    ),
    "qwen2.5-vl-3b": CaptionerEntry(
        "Qwen/Qwen2.5-VL-3B-Instruct",
        None,
        "Qwen2.5-VL",
    ),
    "qwen3-vl-2b": CaptionerEntry(
        "Qwen/Qwen3-VL-2B-Instruct",
        None,
        "Qwen3-VL",
    ),
}
