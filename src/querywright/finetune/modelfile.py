"""How other programs start what was exported: Ollama's Modelfile, and a short text for vLLM and llama.cpp."""

from __future__ import annotations

from querywright.api.nearest import FIELDS
from querywright.finetune.base import MODEL_ID
from querywright.finetune.family import Family, named
from querywright.rows import system_line

VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM's --max-lora-rank takes


def modelfile(gguf: str, api: str, family: Family) -> str:
    """For ``ollama create NAME -f Modelfile``."""
    about = (
        f"# As it was trained, the {FIELDS} fields nearest to a sentence follow the system message, a line each, and\n"
        "# the API's grammar holds. `querywright ask` and `serve` see to both; without them it is less often right.\n"
    )
    stops = "".join(f'PARAMETER stop "{stop}"\n' for stop in family.stops)
    return (
        f'FROM ./{gguf}\nTEMPLATE """{family.ollama}"""\n{about}SYSTEM """{system_line(api)}"""\n'
        f"{stops}PARAMETER temperature 0\nPARAMETER num_ctx {family.context}\n"
    )


def serving(api: str, family: Family, base: str, rank: int, merged: bool, gguf: str) -> str:
    """SERVING.md: the commands that start what lies beside it.

    Args:
        base: the base's name on Hugging Face, or its folder.
        rank: of the adapter.
        merged: whether `merged/` is there.
        gguf: the GGUF file to use; empty for none.
    """
    name = named(api, family)  # the served model is asked by it
    limit = next((n for n in VLLM_RANKS if n >= rank), rank)
    lines = [f"# Starting {name}", ""]
    lines += [
        "Each server speaks OpenAI's API; Querywright asks it with the prompt that the model was trained on, under the",
        "API's grammar, which vLLM takes as it is:",
        f"`querywright ask --api {api} --model http://127.0.0.1:8000/v1#{name} SENTENCE`.",
        "",
        "## vLLM, the adapter on its base",
        "",
        "```",
        f"vllm serve {base} --enable-lora --max-lora-rank {limit} --lora-modules {name}=adapter"
        + " --chat-template adapter/chat_template.jinja",
        "```",
        "",
    ]
    if base == MODEL_ID:
        lines += [
            "This base is Hugging Face's. The adapter was trained and checked on one unpacked from a 4-bit file, a",
            "little different" + ("; what is merged is exactly what was checked." if merged else "."),
            "",
        ]
    if merged:
        lines += ["## vLLM, merged", "", "```", f"vllm serve merged --served-model-name {name}", "```", ""]
    if gguf:
        lines += [
            "## llama.cpp and Ollama",
            "",
            "```",
            f"llama-server -m {gguf} --port 8000 --jinja",
            f"ollama create {name.lower()} -f Modelfile",
            "```",
            "",
            "llama.cpp's server takes the grammar in its own form: `ask … --decoding gbnf`. Ollama takes none and",
            f"listens on port 11434: `ask … --model http://127.0.0.1:11434/v1#{name.lower()} --decoding free`.",
            "",
        ]
    lines += ["Ask at temperature 0: the answer is one call."]
    lines += [
        "",
        "The chat template in what was exported is the one that was trained with. The base's own puts",
        f"{family.own_template}, which the model has not seen in training.",
    ]
    return "\n".join([*lines, ""])
