"""Values cut short are made whole from the sentence, and nothing else is touched."""

from __future__ import annotations

import pytest

from querywright.api.call import parse
from querywright.api.definition import load
from querywright.generate.complete import completed


@pytest.mark.parametrize(
    ("api", "sentence", "written", "meant"),
    [
        # words side by side after a field are its phrase
        ("mydisease", "Mondo name Huntington disease", "mondo.label:Huntington disease",
         'mondo.label:"Huntington disease"'),
        ("mychem", "indicated for multiple sclerosis or asthma, brief",
         "drugcentral.drug_use.indication.concept_name:multiple sclerosis OR asthma",
         'drugcentral.drug_use.indication.concept_name:"multiple sclerosis" OR asthma'),
        # a part of a value that the field has
        ("myvariant", "how many are likely benign", "clinvar.rcv.clinical_significance:benign",
         'clinvar.rcv.clinical_significance:"likely benign"'),
        # an id without its scope
        ("mydisease", "people with HP:0001250.", "hpo.phenotype_related_to_disease.hpo_id:0001250",
         r"hpo.phenotype_related_to_disease.hpo_id:HP\:0001250"),
    ],
)  # fmt: skip
def test_values_are_made_whole(api: str, sentence: str, written: str, meant: str) -> None:
    for tail in ("", "&size=3"):
        got = completed(load(api), sentence, f"/v1/query?q={written}{tail}")
        assert parse(load(api), got).canonical == parse(load(api), f"/v1/query?q={meant}{tail}").canonical


@pytest.mark.parametrize(
    ("api", "sentence", "written"),
    [
        # both are said: the short value stands elsewhere too
        ("myvariant", "benign but not likely benign", "clinvar.rcv.clinical_significance:benign"),
        # the words do not stand side by side
        ("mydisease", "Huntington or another disease", "mondo.label:Huntington disease"),
        # numbers, ranges, wildcards, ids whose field has no such scope
        ("myvariant", "CADD phred above 30", "cadd.phred:[30 TO *]"),
        ("myvariant", "rs id rs58991260", "dbsnp.rsid:rs5899*"),
        ("mydisease", "note 12:0001250", "hpo.phenotype_related_to_disease.hpo_id:0001250"),
        ("mydisease", "melanoma", "melanoma"),
        ("mydisease", "x", "mondo.label:(a OR b)"),
    ],
)
def test_what_is_whole_stays(api: str, sentence: str, written: str) -> None:
    text = f"/v1/query?q={written}&fields=_id"
    assert completed(load(api), sentence, text) == text


def test_other_calls_stay() -> None:
    for text in ("/v1/variant/rs58991260?fields=clinvar", "nil chat", "", "/v1/query", "/v1/metadata/fields"):
        assert completed(load("myvariant"), "likely benign rs58991260", text) == text
    assert completed(load("earthquakes"), "x", "/query?minmagnitude=5") == "/query?minmagnitude=5"
    odd = '/v1/query?q=mondo.label:"a\\"b AND ((('
    assert completed(load("mydisease"), "a b", odd) == odd
