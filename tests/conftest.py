"""What all tests share: the shipped API, no network for hubs, one thread less to spin."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from querywright.api.definition import API, load


@pytest.fixture(scope="session")
def mygene() -> API:
    """The shipped definition of MyGene.info."""
    return load("mygene")
