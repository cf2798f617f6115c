"""The fields that a sentence may mean: words, values, looks, and room for more than one concept."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from querywright.api.definition import load, shipped
from querywright.api.nearest import look, nearest_fields, words


@pytest.mark.parametrize(
    ("api", "sentence", "wanted"),
    [
        ("mygene", "the UniProt id of the human gene CDK2", {"uniprot", "symbol"}),
        ("mygene", "protein domains (InterPro) of ENSG00000123374", {"interpro", "ensembl.gene"}),
        ("myvariant", "missense variants in BRAF with CADD phred above 30", {"cadd.phred", "dbnsfp.genename"}),
        ("myvariant", "gnomad exome frequency of rs58991260", {"gnomad_exome.af.af", "dbsnp.rsid"}),
        ("mychem", "drugs with molecular formula C6H12O6, their ChEMBL id",
         {"pubchem.molecular_formula", "chembl.molecule_chembl_id"}),
        ("mydisease", "which genes does DisGeNET relate to Marfan syndrome?", {"disgenet.genes_related_to_disease"}),
        ("earthquakes", "earthquakes stronger than magnitude 6 since 2020", {"minmagnitude", "starttime"}),
    ],
)  # fmt: skip
def test_what_is_named_is_found(api: str, sentence: str, wanted: set[str]) -> None:
    assert wanted <= set(nearest_fields(load(api), sentence, 8))


def test_a_source_with_many_fields_leaves_room_for_the_rest() -> None:
    found = nearest_fields(load("myvariant"), "clinvar clinical significance of variants in BRCA1 with their rsid", 8)
    assert "clinvar.rcv.clinical_significance" in found
    assert {"dbnsfp.genename", "clinvar.gene.symbol"} & set(found)
    assert any(name.endswith("rsid") for name in found)


def test_every_api_gives_as_many_as_asked_for_and_no_field_twice() -> None:
    for name in shipped():
        for sentence in ("", "?!", "hello", "x" * 5000, "BRCA1 " * 300, "'\"{}()[]*\\"):
            found = nearest_fields(load(name), sentence, 8)
            assert len(found) == 8 == len(set(found))


def test_the_same_in_every_process() -> None:
    """Training and use run in different processes; a set's order must not decide."""
    code = (
        "import json; from querywright.api.definition import load; from querywright.api.nearest import nearest_fields;"
        "print(json.dumps([nearest_fields(load('mychem'), s, 8) for s in"
        " ('side effects of imatinib in SIDER', 'mass between 180 and 181', 'aspirin')]))"
    )
    made = [
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PATH": ""}, capture_output=True)
        for seed in ("1", "2")
    ]
    assert made[0].stdout == made[1].stdout
    assert len(json.loads(made[0].stdout)) == 3


def test_looks_and_words() -> None:
    assert look("BRCA1") == look("CDK2") == "A9"
    assert look("rs334") == "a9"
    assert look("aspirin") is None
    assert look("two words") is None
    assert words("The clinicalSignificance of ratings: 1,000") == ["clinic", "signific", "rate", "1", "000"]
