"""`!MASK`: what it means, for whom, and every mistake it can have."""

from __future__ import annotations

import pytest

from dbmesh.model import ColumnFamily, ColumnSchema
from dbmesh.rules.joint import join
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.masks.rule import Readers
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.ruleset import RuleSet

GLOBAL = "authority:\n  users:\n  - {user: root@%, password: root}\n"
KEEP = "keep: {type: keep_first_n_last_m, props: {first-n: 3, last-m: 4, replace-char: '*'}}"
TEXT = ColumnSchema("phone", "varchar(20)", ColumnFamily.TEXT, collation="utf8mb4_bin")


def load(tables: str, algorithms: str = KEEP, more: str = "", database: str = "shop") -> RuleSet:
    text = (
        f"databaseName: {database}\ndataSources:\n  ds: {{url: 'jdbc:mysql://{database}:3306/s', username: root}}\n"
        f"rules:\n- !MASK\n  tables:\n{tables}  maskAlgorithms:\n    {algorithms}\n{more}"
    )
    files = {"global.yaml": GLOBAL, f"database-{database}.yaml": text}
    return load_configuration(files, lambda kind, name: None).databases[database]


def mistakes(*arguments: str) -> list[str]:
    with pytest.raises(ConfigurationError) as found:
        load(*arguments)
    return [f"{one.key_path}: {one.message}; {one.fix}" for one in found.value.mistakes]


def test_a_column_is_masked_for_everybody_unless_it_says_for_whom() -> None:
    masks = load(
        "    T_User:\n      exempt: [auditor]\n      columns:\n"
        "        Phone: {maskAlgorithm: keep}\n"
        "        email: {maskAlgorithm: keep, maskedFor: 'support,guest'}\n"
        "        note: {maskAlgorithm: keep, exempt: []}\n"
    ).masks["t_user"]
    assert masks.name == "T_User"
    assert not masks.real_predicates
    assert set(masks.read_by(frozenset({"anna"}))) == {"phone", "note"}
    assert set(masks.read_by(frozenset({"anna", "support"}))) == {"phone", "email", "note"}
    assert set(masks.read_by(frozenset({"anna", "support", "auditor"}))) == {"note"}
    # Names of users and roles are told apart by case, as servers do.
    assert set(masks.read_by(frozenset({"Auditor"}))) == {"phone", "note"}


def test_readers_are_masked_by_any_of_their_names() -> None:
    assert Readers().masks(frozenset())
    assert not Readers(only=frozenset({"a"})).masks(frozenset({"b"}))
    assert not Readers(only=frozenset({"a"}), exempt=frozenset({"b"})).masks(frozenset({"a", "b"}))


def test_predicates_can_be_real() -> None:
    assert (
        load("    t: {columns: {c: {maskAlgorithm: keep}}}\n", KEEP, "  predicates: real\n")
        .masks["t"]
        .real_predicates
    )


def test_masks_of_joined_databases_are_known_by_their_tables() -> None:
    one, other = (
        load("    t: {columns: {c: {maskAlgorithm: keep}}}\n", database=name) for name in ("a", "b")
    )
    joint = join([one, other]).rule_set
    assert set(joint.masks) == {joint.key("a", "t"), joint.key("b", "T")}


def test_a_value_no_text_can_be_made_of_is_not_shown() -> None:
    algorithm = load("    t: {columns: {c: {maskAlgorithm: keep}}}\n").masks["t"].columns[0].algorithm
    place = ColumnSchema("place", "point", ColumnFamily.OTHER)
    assert algorithm.expression("`place`", place) == "NULL"
    assert "`phone`" in algorithm.expression("`phone`", TEXT)


@pytest.mark.parametrize(
    ("tables", "algorithms", "expected"),
    [
        ("    t: {columns: {c: {maskAlgorithm: kep}}}\n", KEEP, "unknown mask algorithm 'kep'; did you mean 'keep'?"),
        ("    t: {columns: {}}\n", KEEP, "no column is masked; name one under columns"),
        ("    t: {columns: {c: {maskAlgorithm: keep, exemt: x}}}\n", KEEP, "unknown key 'exemt'; did you mean 'exempt'?"),
        ("    {}\n", "a: {type: MD6}", "unknown mask type 'MD6'; did you mean 'MD5'?"),
        ("    {}\n", "a: {type: MD5, props: {sault: x}}", "unknown property 'sault'; did you mean 'salt'?"),
        (
            "    {}\n",
            "a: {type: KEEP_FROM_X_TO_Y, props: {from-x: 3, to-y: 2, replace-char: '*'}}",
            "3 is above to-y, 2; write the smaller one here",
        ),
        (
            "    {}\n",
            "a: {type: KEEP_FROM_X_TO_Y, props: {from-x: 0, to-y: 2, replace-char: '*'}}",
            "0 is below 1; use 1 or more",
        ),
        (
            "    {}\n",
            "a: {type: MASK_FIRST_N_LAST_M, props: {first-n: 1, last-m: 1, replace-char: '**'}}",
            "'**' is not one character; write one, e.g. '*'",
        ),
        (
            "    {}\n",
            "a: {type: MASK_AFTER_SPECIAL_CHARS, props: {special-chars: '', replace-char: '*'}}",
            "property 'special-chars' is missing; add 'special-chars' under props",
        ),
        (
            "    {}\n",
            "a: {type: TELEPHONE_RANDOM_REPLACE, props: {network-numbers: '13x'}}",
            "'13x' is no number; write digits only",
        ),
        (
            "    {}\n",
            "a: {type: GENERIC_TABLE_RANDOM_REPLACE, props: {digital-codes: '1,,2'}}",
            "'1,,2' has an empty part; write characters separated by commas",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_told_where_they_stand(tables: str, algorithms: str, expected: str) -> None:
    [found] = mistakes(tables, algorithms)
    assert found.endswith(expected)


def test_predicates_are_masked_or_real() -> None:
    [found] = mistakes("    t: {columns: {c: {maskAlgorithm: keep}}}\n", KEEP, "  predicates: reel\n")
    assert found.endswith("'reel' is neither masked nor real; did you mean 'real'?")
