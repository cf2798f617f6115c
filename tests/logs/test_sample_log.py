"""The shipped sample log is what its script makes."""

import gzip
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


@pytest.mark.skipif(find_spec("goatools") is None, reason="needs goatools: pip install 'querywright[api]'")
def test_same_seed_same_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SAMPLES))
    import make_mygene_log  # type: ignore[import-not-found]

    try:
        made = make_mygene_log.make(lines=40_000, seed=make_mygene_log.SEED)
    finally:
        for name in ("make_mygene_log", "mygene_shapes", "mygene_values"):
            sys.modules.pop(name, None)
    assert made == gzip.decompress((SAMPLES / "mygene_access.log.gz").read_bytes())


def test_the_log_is_small_and_nobodys() -> None:
    path = SAMPLES / "mygene_access.log.gz"
    assert path.stat().st_size < 1_500_000
    ours = (b"192.0.2.", b"198.51.100.", b"203.0.113.", b"2001:db8:")  # addresses that documentation is allowed to use
    lines = gzip.decompress(path.read_bytes()).splitlines()
    assert sum(b" - - [" in line and not line.startswith(ours) for line in lines) == 0
    assert sum(b"%40" in line and b"%40example." not in line for line in lines) == 0
