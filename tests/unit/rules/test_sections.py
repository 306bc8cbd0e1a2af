"""Sections checked against their models: guesses for keys, and the rest checked in spite of a mistake."""

from dbmesh.rules.models import AdminSection, ShardingSection
from dbmesh.rules.sections import closest, report_unknown, suggestion, validate
from dbmesh.rules.source import SourceFile


def test_guesses() -> None:
    assert closest("tabels", ["tables", "auditors"]) == "tables"
    assert closest("TABLES", ["tables"]) == "tables"
    assert closest("ds_9", ["ds_0", "ds_1"]) is None
    assert suggestion("xyz", ["a", "b"]) == "use one of a, b"
    assert suggestion("xyz", []) == "remove it"
    assert suggestion("xyz", [], "there is none") == "there is none"


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
    assert [(mistake.message, mistake.fix) for mistake in source.mistakes[2:]] == [
        ("unknown algorithm 'other'", "define it, or remove this key")
    ]


def test_a_number_that_is_too_great_hides_no_other_mistake() -> None:
    source = SourceFile("f")
    section = validate(source, ("admin",), {"port": "99999", "token": "short"}, AdminSection)
    assert section is not None
    assert (section.port, section.token) == (9307, "short")
    assert [mistake.key_path for mistake in source.mistakes] == ["admin.port"]


def test_what_is_no_mapping_cannot_be_used() -> None:
    source = SourceFile("f")
    assert validate(source, ("rules", 0), "text", ShardingSection) is None
    assert source.mistakes
    assert validate(source, ("rules", 0), None, ShardingSection) is not None
