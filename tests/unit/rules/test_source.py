"""YAML with lines: texts as written, tags kept, duplicates named."""

from dbmesh.rules.source import key_path, read_source


def test_scalars_stay_as_written() -> None:
    source = read_source("f", "a: 0123\nb: no\nc: 2020-01-01 00:00:00\nd:\ne: ~\nf: ''\n")
    assert source.value == {"a": "0123", "b": "no", "c": "2020-01-01 00:00:00", "d": None, "e": None, "f": ""}


def test_lines_and_tags() -> None:
    source = read_source("f", "rules:\n- !SHARDING\n  tables:\n    t: {}\n- !SINGLE\n")
    assert source.tags == {("rules", 0): "!SHARDING", ("rules", 1): "!SINGLE"}
    assert source.line(("rules", 0, "tables", "t")) == 4
    assert source.line(("rules", 0, "tables", "none")) == 3
    assert source.value["rules"][1] is None
    assert key_path(("rules", 0, "tables")) == "rules[0].tables"


def test_duplicates_and_merges() -> None:
    source = read_source("f", "x: &x {a: '1', b: '2'}\ny:\n  <<: *x\n  a: '3'\nx: {}\n")
    assert source.value["y"] == {"a": "3", "b": "2"}
    assert [str(mistake) for mistake in source.mistakes] == [
        "f:5: x: the key is written twice; remove one; the other is on line 1"
    ]


def test_keys_that_are_not_texts() -> None:
    assert "is not a text" in read_source("f", "a: {[1]: 2}").mistakes[0].message
