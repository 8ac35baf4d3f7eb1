# ruff: noqa: E501
"""Small random checkpoints of every captioning architecture, saved as the hub's repositories are.

Made when asked for.
"""

import json
from collections.abc import Callable
from pathlib import Path

SIZE, PATCH = 16, 8
WORDS = [
    "a",
    "red",
    "green",
    "blue",
    "circle",
    "square",
    "triangle",
    "on",
    "the",
    "background",
    "photo",
    "of",
    "seven",
    "number",
    "two",
    "three",
    "dog",
    "cat",
]
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>", "<image>"]
CHAT = (
    "{% for m in messages %}{{ m.role }}: {% for c in m.content %}{% if c.type == 'image' %}IMAGE"
    "{% else %}{{ c.text }}{% endif %}{% endfor %}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)


def tokenizer(*extra: str, **named: str):  # type: ignore[no-untyped-def]
    """Byte-level BPE over a few sentences; `extra` are special tokens, `named` those with an attribute of their own."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = list(dict.fromkeys([*SPECIAL, *extra, *named.values()]))
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=360 + len(special), special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator([" ".join(WORDS)] * 3 + [" " + word for word in WORDS] * 3, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens=named,
    )


def save(model, directory: Path, seed: int = 0) -> None:  # type: ignore[no-untyped-def]
    """Random weights large enough that captions differ between images."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            small = (
                parameter.ndim < 2
                or ("embed" in name and "patch" not in name)
                or name.endswith(("wte.weight", "wpe.weight"))
            )
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0.05 if small else 0.6))
            if parameter.ndim == 1 and name.endswith("weight"):
                parameter.add_(1.0)  # the scale of a normalisation
    model.save_pretrained(directory)


def images(directory: Path, kind: str, **more: object) -> None:
    """``preprocessor_config.json``."""
    facts = {
        "image_processor_type": kind,
        "do_resize": True,
        "size": {"height": SIZE, "width": SIZE},
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        **more,
    }
    (directory / "preprocessor_config.json").write_text(json.dumps(facts))


def processor(directory: Path, name: str, **more: object) -> None:
    """``processor_config.json``."""
    (directory / "processor_config.json").write_text(json.dumps({"processor_class": name, **more}))


def chat(directory: Path, image: str = "<image>") -> None:
    """``chat_template.jinja``."""
    (directory / "chat_template.jinja").write_text(CHAT.replace("IMAGE", image))


VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": SIZE,
    "patch_size": PATCH,
}
IDS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    **IDS,
}


def vit_gpt2(directory: Path) -> None:
    import transformers as t

    text = tokenizer()
    encoder = t.ViTConfig(**VIT)
    decoder = t.GPT2Config(vocab_size=len(text), n_positions=64, n_embd=32, n_layer=1, n_head=2, **IDS)
    config = t.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        encoder, decoder, decoder_start_token_id=2, pad_token_id=0, eos_token_id=3
    )
    model = t.VisionEncoderDecoderModel(config)
    model.generation_config.decoder_start_token_id = 2
    save(model, directory)
    text.save_pretrained(directory)
    images(directory, "ViTImageProcessor")


def gpt2(directory: Path) -> None:
    """A language model, for MAGIC."""
    import transformers as t

    text = tokenizer()
    config = t.GPT2Config(vocab_size=len(text), n_positions=64, n_embd=32, n_layer=1, n_head=2, **IDS)
    save(t.GPT2LMHeadModel(config), directory)
    text.save_pretrained(directory)


def blip(directory: Path) -> None:
    import transformers as t
    from tokenizers.processors import TemplateProcessing

    text = tokenizer()
    text.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    config = t.BlipConfig(
        text_config={
            "vocab_size": len(text), "hidden_size": 32, "encoder_hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 2, "max_position_embeddings": 64, "sep_token_id": 3, **IDS,
        },
        vision_config=VIT,
        projection_dim=16,
    )  # fmt: skip
    save(t.BlipForConditionalGeneration(config), directory)
    text.save_pretrained(directory)
    images(directory, "BlipImageProcessor")
    processor(directory, "BlipProcessor")


def git(directory: Path) -> None:
    import transformers as t

    text = tokenizer()
    config = t.GitConfig(
        vocab_size=len(text), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=128, vision_config=VIT, **IDS,
    )  # fmt: skip
    save(t.GitForCausalLM(config), directory)
    text.save_pretrained(directory)
    images(directory, "CLIPImageProcessor", crop_size={"height": SIZE, "width": SIZE}, size={"shortest_edge": SIZE})
    processor(directory, "GitProcessor")


def _qformer(length: int) -> dict[str, object]:
    return {
        "vocab_size": length, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
        "encoder_hidden_size": 32, "cross_attention_frequency": 1, "max_position_embeddings": 64,
    }  # fmt: skip


def blip2(directory: Path) -> None:
    import transformers as t

    text = tokenizer()
    opt = {
        "model_type": "opt", "vocab_size": len(text), "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "ffn_dim": 32, "max_position_embeddings": 128, "word_embed_proj_dim": 32, **IDS,
    }  # fmt: skip
    config = t.Blip2Config(
        vision_config=VIT, qformer_config=_qformer(len(text)), text_config=opt, num_query_tokens=4, image_token_index=4,
        image_token_id=4,
    )  # fmt: skip
    save(t.Blip2ForConditionalGeneration(config), directory)
    text.save_pretrained(directory)
    images(directory, "BlipImageProcessor")
    processor(directory, "Blip2Processor", num_query_tokens=4)


def instructblip(directory: Path) -> None:
    import transformers as t

    text = tokenizer()
    config = t.InstructBlipConfig(
        vision_config=VIT, qformer_config=_qformer(len(text)), text_config={**LLAMA, "vocab_size": len(text)},
        num_query_tokens=4, image_token_index=4, image_token_id=4,
    )  # fmt: skip
    save(t.InstructBlipForConditionalGeneration(config), directory)
    text.save_pretrained(directory)
    text.save_pretrained(directory / "qformer_tokenizer")
    images(directory, "BlipImageProcessor")
    processor(directory, "InstructBlipProcessor", num_query_tokens=4)


def idefics(directory: Path) -> None:
    import transformers as t

    text = tokenizer("<fake_token_around_image>", "<end_of_utterance>", image_token="<image>")
    vision = {
        "embed_dim": 32,
        "image_size": SIZE,
        "intermediate_size": 32,
        "patch_size": PATCH,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    config = t.IdeficsConfig(
        vocab_size=len(text), hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=256, cross_layer_interval=1, alpha_initializer="ones", use_resampler=False, vision_config=vision, **IDS,
    )  # fmt: skip
    save(t.IdeficsForVisionText2Text(config), directory)
    text.save_pretrained(directory)
    images(directory, "IdeficsImageProcessor", image_size=SIZE, image_num_channels=3)
    processor(directory, "IdeficsProcessor")


def idefics2(directory: Path) -> None:
    import transformers as t

    text = tokenizer("<end_of_utterance>", image_token="<image>", image_boundary_token="<fake_token_around_image>")
    config = t.Idefics2Config(
        vision_config={**VIT, "model_type": "idefics2"},
        perceiver_config={
            "hidden_size": 32, "resampler_n_latents": 4, "resampler_depth": 1, "resampler_n_heads": 2, "resampler_head_dim": 16,
            "num_key_value_heads": 2,
        },
        text_config={**LLAMA, "model_type": "mistral", "vocab_size": len(text), "sliding_window": None},
        image_token_id=4,
    )  # fmt: skip
    save(t.Idefics2ForConditionalGeneration(config), directory)
    text.save_pretrained(directory)
    images(
        directory,
        "Idefics2ImageProcessor",
        size={"shortest_edge": SIZE // 2, "longest_edge": SIZE},
        do_image_splitting=False,
    )
    processor(directory, "Idefics2Processor", image_seq_len=4)
    chat(directory)


def _idefics3(directory: Path, name: str, **more: object) -> None:
    import transformers as t

    rows = [f"<row_{r}_col_{c}>" for r in range(1, 4) for c in range(1, 4)]
    text = tokenizer(
        *rows, image_token="<image>", fake_image_token="<fake_token_around_image>", global_image_token="<global-img>",
        end_of_utterance_token="<end_of_utterance>", video_token="<video>",
    )  # fmt: skip
    config = getattr(t, f"{name}Config")(
        vision_config=VIT, text_config={**LLAMA, "vocab_size": len(text)}, image_token_id=4, scale_factor=2, pad_token_id=0,
    )  # fmt: skip
    save(getattr(t, f"{name}ForConditionalGeneration")(config), directory)
    text.save_pretrained(directory)
    images(
        directory, f"{name}ImageProcessor", size={"longest_edge": 2 * SIZE}, max_image_size={"longest_edge": SIZE},
        do_image_splitting=True,
    )  # fmt: skip
    processor(directory, f"{name}Processor", image_seq_len=1)
    chat(directory)


def idefics3(directory: Path) -> None:
    _idefics3(directory, "Idefics3")


def smolvlm(directory: Path) -> None:
    _idefics3(directory, "SmolVLM")


def fuyu(directory: Path) -> None:
    import transformers as t
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    words = [*SPECIAL, "_", "|SPEAKER|", "|NEWLINE|", "<0x04>", *dict.fromkeys([*WORDS, "style", "caption"])]
    backend = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    backend.normalizer = normalizers.Prepend("_")  # as SentencePiece does; the processor cuts it off again
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"^_|\|[A-Z]+\||<[^>]+>|[a-z]+|."), "isolated")
    backend.decoder = decoders.Fuse()
    text = t.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    config = t.FuyuConfig(
        text_config={
            "model_type": "persimmon", "vocab_size": len(text), "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 2, "max_position_embeddings": 256, **IDS,
        },
        patch_size=PATCH, image_size=32, image_token_id=text.convert_tokens_to_ids("|SPEAKER|"), **IDS,
    )  # fmt: skip
    save(t.FuyuForCausalLM(config), directory)
    text.save_pretrained(directory)
    images(
        directory, "FuyuImageProcessor", size={"height": 32, "width": 32}, patch_size={"height": PATCH, "width": PATCH},
        image_mean=0.5, image_std=0.5,
    )  # fmt: skip
    processor(directory, "FuyuProcessor")


def kosmos2(directory: Path) -> None:
    import transformers as t

    text = tokenizer()
    text.add_tokens(["<image>"])
    vocabulary = len(text) + 100
    config = t.Kosmos2Config(
        text_config={
            "vocab_size": vocabulary, "embed_dim": 32, "layers": 1, "ffn_dim": 32, "attention_heads": 2,
            "max_position_embeddings": 256, **IDS,
        },
        vision_config=VIT, latent_query_num=64,
    )  # fmt: skip
    save(t.Kosmos2ForConditionalGeneration(config), directory)
    text.save_pretrained(directory)
    images(directory, "CLIPImageProcessor", crop_size={"height": SIZE, "width": SIZE}, size={"shortest_edge": SIZE})
    processor(directory, "Kosmos2Processor", num_patch_index_tokens=16)


def paligemma(directory: Path) -> None:
    import transformers as t

    text = tokenizer(image_token="<image>")
    config = t.PaliGemmaConfig(
        vision_config={**VIT, "model_type": "siglip_vision_model", "vision_use_head": False},
        text_config={
            **LLAMA, "model_type": "gemma", "head_dim": 16, "vocab_size": len(text) + 1200, "num_key_value_heads": 1,
        },
        image_token_index=4, projection_dim=32, hidden_size=32, vocab_size=len(text) + 1200, **IDS,
    )  # fmt: skip
    save(t.PaliGemmaForConditionalGeneration(config), directory)
    text.save_pretrained(directory)
    images(directory, "SiglipImageProcessor", image_seq_length=4)
    processor(directory, "PaliGemmaProcessor")


def florence2(directory: Path) -> None:
    import transformers as t

    text = tokenizer(image_token="<image>")
    config = t.Florence2Config(
        vision_config={
            "depths": [1, 1], "patch_size": [7, 3], "patch_stride": [4, 2], "patch_padding": [3, 1], "patch_prenorm": [False, True],
            "embed_dim": [16, 16], "num_heads": [2, 2], "num_groups": [2, 2], "window_size": 2, "projection_dim": 32,
            "drop_path_rate": 0.0,
        },
        text_config={
            "model_type": "bart", "vocab_size": len(text), "d_model": 32, "encoder_layers": 1, "decoder_layers": 1,
            "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
            "max_position_embeddings": 128, "decoder_start_token_id": 3, **IDS,
        },
        image_token_id=4, **IDS,
    )  # fmt: skip
    model = t.Florence2ForConditionalGeneration(config)
    model.generation_config.decoder_start_token_id = 3
    save(model, directory)
    text.save_pretrained(directory)
    images(
        directory,
        "CLIPImageProcessor",
        crop_size={"height": SIZE, "width": SIZE},
        size={"height": SIZE, "width": SIZE},
        image_seq_length=5,
    )
    processor(directory, "Florence2Processor")


def _llava(directory: Path, name: str, **more: object) -> None:
    import transformers as t

    text = tokenizer(image_token="<image>")
    config = getattr(t, f"{name}Config")(
        vision_config={**VIT, "model_type": "clip_vision_model", "num_hidden_layers": 2, "projection_dim": 16},
        text_config={**LLAMA, "vocab_size": len(text)}, image_token_index=4, **more,
    )  # fmt: skip
    save(getattr(t, f"{name}ForConditionalGeneration")(config), directory)
    text.save_pretrained(directory)
    images(
        directory, f"{name}ImageProcessor", crop_size={"height": SIZE, "width": SIZE}, size={"shortest_edge": SIZE},
        **more
    )  # fmt: skip
    processor(
        directory, f"{name}Processor", patch_size=PATCH, vision_feature_select_strategy="default",
        num_additional_image_tokens=1
    )  # fmt: skip


def llava(directory: Path) -> None:
    _llava(directory, "Llava")
    chat(directory)


def llava_next(directory: Path) -> None:
    _llava(directory, "LlavaNext", image_grid_pinpoints=[[SIZE, 2 * SIZE], [2 * SIZE, SIZE], [2 * SIZE, 2 * SIZE]])


def _qwen(directory: Path, name: str, vision: dict[str, object]) -> None:
    import transformers as t

    text = tokenizer("<|vision_start|>", "<|vision_end|>", image_token="<|image_pad|>", video_token="<|video_pad|>")
    ids = {
        word: text.convert_tokens_to_ids(f"<|{word}|>")
        for word in ("vision_start", "vision_end", "image_pad", "video_pad")
    }
    config = getattr(t, f"{name}Config")(
        vision_config={"depth": 1, "patch_size": PATCH, "spatial_merge_size": 2, "temporal_patch_size": 2, **vision},
        text_config={
            **{key: value for key, value in LLAMA.items() if key != "model_type"}, "vocab_size": len(text),
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0},
        },
        image_token_id=ids["image_pad"], video_token_id=ids["video_pad"], vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"], **IDS,
    )  # fmt: skip
    save(getattr(t, f"{name}ForConditionalGeneration")(config), directory)
    text.save_pretrained(directory)
    images(
        directory, "Qwen2VLImageProcessor", size={"shortest_edge": 256, "longest_edge": 2048}, patch_size=PATCH,
        temporal_patch_size=2, merge_size=2,
    )  # fmt: skip
    processor(directory, f"{name}Processor")
    chat(directory, image="<|vision_start|><|image_pad|><|vision_end|>")


def qwen2_vl(directory: Path) -> None:
    _qwen(directory, "Qwen2VL", {"embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 1})


def qwen2_5_vl(directory: Path) -> None:
    _qwen(
        directory, "Qwen2_5_VL",
        {"hidden_size": 32, "out_hidden_size": 32, "num_heads": 2, "intermediate_size": 32, "window_size": 32,
        "fullatt_block_indexes": [0]},
    )  # fmt: skip


def qwen3_vl(directory: Path) -> None:
    _qwen(
        directory,
        "Qwen3VL",
        {
            "hidden_size": 32,
            "out_hidden_size": 32,
            "num_heads": 2,
            "intermediate_size": 32,
            "deepstack_visual_indexes": [0],
            "num_position_embeddings": 16,
        },
    )


MAKERS: dict[str, Callable[[Path], None]] = {
    "vit-gpt2": vit_gpt2,
    "gpt2": gpt2,
    "blip": blip,
    "git": git,
    "blip-2": blip2,
    "instructblip": instructblip,
    "idefics": idefics,
    "idefics2": idefics2,
    "idefics3": idefics3,
    "smolvlm": smolvlm,
    "fuyu": fuyu,
    "kosmos-2": kosmos2,
    "paligemma": paligemma,
    "florence2": florence2,
    "llava": llava,
    "llava-next": llava_next,
    "qwen2-vl": qwen2_vl,
    "qwen2.5-vl": qwen2_5_vl,
    "qwen3-vl": qwen3_vl,
}
