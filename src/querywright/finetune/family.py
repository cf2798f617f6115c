"""Model families that can leave training: chat format, stop tokens, licence, all told from a checkpoint's config.json.

A family's chat format is the one that the training tokenizer writes. The publishers' own templates say more: Llama
3.1's puts two lines with dates into every system message, SmolLM2's a system message before a chat without one. So the
exported files carry the template given here, and a served model sees the prompts that it was trained on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from querywright.errors import QuerywrightError

DOWNLOAD = (
    "tune download meta-llama/Llama-3.1-8B-Instruct --output-dir FOLDER --ignore-patterns 'original/consolidated*'"
)


@dataclass(frozen=True)
class Family:
    """What all models of a family share, and the name of the one at hand.

    Attributes:
        name: `smollm2`, `llama3.1`, `llama3.2`.
        human: for people: `Llama 3.1 8B Instruct`.
        chat: `chatml` or `llama3`.
        begin: the token that every prompt begins with; empty where there is none.
        end: the token that ends a turn.
        stops: the tokens that end an answer.
        licence: its identifier on Hugging Face, as a card's `license`.
        notice: what the licence asks whoever passes the model on to say; empty where nothing.
        model_id: the base's name on Hugging Face; empty for a shape that the publisher does not have.
        pre: how llama.cpp calls the way in which text is cut before it is encoded.
        template: the chat template (Jinja) of the exported files.
        own_template: what the publisher's says besides, for people.
        ollama: the Modelfile's template.
        context: tokens, for a Modelfile.
    """

    name: str
    human: str
    chat: str
    begin: str
    end: str
    stops: tuple[str, ...]
    licence: str
    notice: str
    model_id: str
    pre: str
    template: str
    own_template: str
    ollama: str
    context: int


_LLAMA3 = (
    "{{- '<|begin_of_text|>' }}{% for message in messages %}{{- '<|start_header_id|>' + message['role'] + "
    "'<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
_CHATML = (
    "{% for message in messages %}{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{% endif %}"
)
_OLLAMA_LLAMA3 = (
    "{{ if .System }}<|start_header_id|>system<|end_header_id|>\n\n{{ .System }}<|eot_id|>{{ end }}"
    "<|start_header_id|>user<|end_header_id|>\n\n{{ .Prompt }}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n{{ .Response }}<|eot_id|>"
)
_OLLAMA_CHATML = (
    "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}"
    "<|im_start|>user\n{{ .Prompt }}<|im_end|>\n<|im_start|>assistant\n{{ .Response }}<|im_end|>\n"
)
_NOTICE = (
    "Built with Llama. Llama {} is licensed under the Llama {} Community License, which asks that the name of a model "
    'made from it begin with "Llama" and that this notice go with it.'
)
SMOLLM2 = Family(
    name="smollm2", human="SmolLM2", chat="chatml", begin="", end="<|im_end|>", stops=("<|im_end|>",),
    licence="apache-2.0", notice="", model_id="", pre="smollm", template=_CHATML,
    own_template="a system message of its own before a chat without one", ollama=_OLLAMA_CHATML, context=1024,
)  # fmt: skip
LLAMA31 = Family(
    name="llama3.1", human="Llama 3.1", chat="llama3", begin="<|begin_of_text|>", end="<|eot_id|>",
    stops=("<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"), licence="llama3.1", notice=_NOTICE.format("3.1", "3.1"),
    model_id="", pre="llama-bpe", template=_LLAMA3,
    own_template="lines with dates into the system message", ollama=_OLLAMA_LLAMA3, context=4096,
)  # fmt: skip
LLAMA32 = replace(LLAMA31, name="llama3.2", human="Llama 3.2", licence="llama3.2", notice=_NOTICE.format("3.2", "3.2"))
FAMILIES = (SMOLLM2, LLAMA31, LLAMA32)
# (family, hidden size) -> size as the publisher writes it
SIZES = {
    ("smollm2", 576): "135M", ("smollm2", 960): "360M", ("smollm2", 2048): "1.7B",
    ("llama3.1", 4096): "8B", ("llama3.1", 8192): "70B", ("llama3.2", 2048): "1B", ("llama3.2", 3072): "3B",
}  # fmt: skip
IDS = {"smollm2": "HuggingFaceTB/SmolLM2-{}-Instruct", "llama3.1": "meta-llama/Llama-3.1-{}-Instruct",
       "llama3.2": "meta-llama/Llama-3.2-{}-Instruct"}  # fmt: skip


def family(source: Path | str | Mapping[str, Any]) -> Family:
    """The family of a checkpoint: a folder that holds config.json, or what its config.json holds.

    SmolLM2 is told by its vocabulary, Llama 3.1 and 3.2 by the factor of their rope scaling (8 and 32).

    Raises:
        QuerywrightError: no config.json there, or a model of another family.
    """
    config, told = (source, "the model") if isinstance(source, Mapping) else (read_config(Path(source)), str(source))
    rope = rope_of(config)
    found: Family | None = None
    if config.get("model_type") == "llama":
        if rope["type"] == "llama3":
            found = {8.0: LLAMA31, 32.0: LLAMA32}.get(float(rope.get("factor", 0)))
        elif config.get("vocab_size") == 49152:
            found = SMOLLM2
    if found is None:
        kind = f"model_type {config.get('model_type')}, vocabulary {config.get('vocab_size')}, rope {rope['type']}"
        raise QuerywrightError(
            f"{told} is of no family that is known here ({kind})",
            hint=f"known: {', '.join(f.human for f in FAMILIES)}, as instruction-tuned checkpoints",
        )
    size = SIZES.get((found.name, int(config.get("hidden_size", 0))))
    if size is None:
        return found
    return replace(found, human=f"{found.human} {size} Instruct", model_id=IDS[found.name].format(size))


def named(api: str, kind: Family) -> str:
    """What a model for an API is called: Llama's licence wants its name to begin with ``Llama``."""
    return f"Llama-{api}" if kind.name.startswith("llama") else api


def rope_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Rotary settings of a config.json, of transformers 4 (`rope_theta`, `rope_scaling`) or 5 (`rope_parameters`): its
    keys, and always `type` and `theta`."""
    scaling = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    kind = scaling.get("rope_type") or scaling.get("type") or "default"
    return {**scaling, "type": kind, "theta": float(scaling.get("rope_theta") or config.get("rope_theta") or 10000.0)}


def read_config(folder: Path) -> dict[str, Any]:
    """What a checkpoint's config.json holds.

    Raises:
        QuerywrightError: there is none, or it is damaged.
    """
    path = folder / "config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        damaged = "is damaged" if path.is_file() else "is missing"
        raise QuerywrightError(f"no checkpoint in {folder}: config.json {damaged}", hint=DOWNLOAD) from error
    if not isinstance(found, dict):
        raise QuerywrightError(f"no checkpoint in {folder}: config.json is no object", hint=DOWNLOAD)
    return found
