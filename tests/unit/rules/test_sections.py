"""Sections checked against their models: guesses for keys, and the rest checked in spite of a mistake."""

from dbmesh.rules.models import ShardingSection
from dbmesh.rules.sections import closest, report_unknown, suggestion, validate
from dbmesh.rules.source import SourceFile


def test_guesses() -> None:
    assert closest("tabels", ["tables", "auditors"]) == "tables"
    assert closest("TABLES", ["tables"]) == "tables"
    assert closest("ds_9", ["ds_0", "ds_1"]) is None
    assert suggestion("xyz", ["a", "b"]) == "use one of a, b"
    assert suggestion("xyz", []) == "remove it"


def test_an_entry_with_a_mistake_is_left_out_and_the_rest_kept() -> None:
    source = SourceFile("f")
    value = {
        "tables": {"t": {"tabelStrategy": {}}},
        "shardingAlgorithms": {"good": {"type": "MOD"}, "bad": {"props": {}}},
    }
    section = validate(source, (), value, ShardingSection)
    assert section is not None
    assert set(section.tables) == {"t"}
    assert set(section.sharding_algorithms) == {"good"}
    assert sorted(mistake.key_path for mistake in source.mistakes) == [
        "shardingAlgorithms.bad.type",
        "tables.t.tabelStrategy",
    ]
    report_unknown(source, (), "algorithm", "bad", [])
    report_unknown(source, (), "algorithm", "other", [])
    assert [mistake.message for mistake in source.mistakes[2:]] == ["unknown algorithm 'other'"]


def test_what_is_no_mapping_cannot_be_used() -> None:
    source = SourceFile("f")
    assert validate(source, ("rules", 0), "text", ShardingSection) is None
    assert source.mistakes
    assert validate(source, ("rules", 0), None, ShardingSection) is not None
