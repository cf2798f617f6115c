"""Made-up literals for fields and parameters that have no example: what a model learns from them is to copy.

They differ in kind (words, names, codes, numbers), so that no single shape is learnt as the value.
"""

from __future__ import annotations

import random
import string

WORDS = (
    "amber", "anchor", "annual", "arctic", "basin", "beacon", "birch", "bridge", "canal", "carbon", "cedar", "coastal",
    "copper", "coral", "crystal", "delta", "desert", "diesel", "ember", "falcon", "fiber", "forest", "fossil", "garden",
    "glacier", "granite", "harbor", "hybrid", "indigo", "island", "ivory", "jasmine", "jupiter", "kelp", "lantern",
    "lava", "lemon", "lunar", "maple", "marble", "marine", "meadow", "mineral", "mirror", "mobile", "mustard", "nickel",
    "nitrogen", "northern", "oasis", "ocean", "olive", "orbit", "orchid", "oxygen", "paper", "pearl", "pepper", "pilot",
    "planet", "plasma", "polar", "prairie", "quartz", "rapid", "raven", "reef", "ribbon", "river", "saffron", "salmon",
    "sandstone", "satin", "shadow", "silver", "solar", "spruce", "summit", "tidal", "timber", "titanium", "topaz",
    "tropical", "tunnel", "urban", "valley", "velvet", "violet", "volcano", "walnut", "willow", "winter", "zinc",
)  # fmt: skip
NAMES = (
    "Aurora", "Bergen", "Boston", "Casablanca", "Chen", "Cusco", "Dakar", "Delgado", "Dublin", "Fischer", "Fukuoka",
    "Garcia", "Geneva", "Haifa", "Hanoi", "Ibarra", "Jakarta", "Kim", "Kyoto", "Lagos", "Lima", "Lindqvist", "Lisbon",
    "Malmö", "Mendoza", "Mumbai", "Nairobi", "Novak", "Okafor", "Oslo", "Patel", "Perth", "Quito", "Reykjavik", "Rossi",
    "Santiago", "Sato", "Seattle", "Silva", "Tbilisi", "Toronto", "Ulm", "Valencia", "Warsaw", "Yilmaz", "Zagreb",
)  # fmt: skip
_IDS = {"id", "ids", "identifier", "accession", "code", "key", "uuid", "pmid", "pubmed", "number", "no", "ref", "refs"}
_NAMED = {"name", "author", "owner", "city", "place", "location", "creator", "publisher", "person", "surname", "user"}


def literal(rng: random.Random, hints: set[str]) -> str:
    """One literal; `hints` are the words of the field's or parameter's name."""
    if hints & {"year", "years"}:
        return str(rng.randint(1950, 2025))
    if hints & _IDS:
        return code(rng)
    roll = rng.random()
    if hints & _NAMED or roll < 0.15:
        return rng.choice(NAMES)
    if roll < 0.3:
        return code(rng)
    if roll < 0.5:
        return f"{rng.choice(WORDS)} {rng.choice(WORDS)}"
    return rng.choice(WORDS)


def code(rng: random.Random) -> str:
    """A code or a number of some digits: `AB1234`, `73120`, `x7f-204`."""
    digits = "".join(rng.choices(string.digits, k=rng.randint(2, 7)))
    form = rng.random()
    if form < 0.4:
        return digits.lstrip("0") or "7"
    letters = "".join(rng.choices(string.ascii_uppercase, k=rng.randint(1, 4)))
    if form < 0.75:
        return letters + digits
    return f"{letters.lower() if form < 0.85 else letters}-{digits}"
