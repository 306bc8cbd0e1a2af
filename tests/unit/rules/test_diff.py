"""What changes between two configurations is said by table, data source and user, and never what a password is."""

from __future__ import annotations

import pytest

from dbmesh.rules.diff import Change, Difference, differences
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.ruleset import Configuration

_DATABASE = """\
databaseName: Shop
dataSources:
  ds_0: {url: 'mysql://a/shop_0', username: app, password: one}
  ds_1: {url: 'mysql://b/shop_1', username: app, password: one}
rules:
- !SHARDING
  tables:
    t_order:
      actualDataNodes: ds_${0..1}.t_order_${0..1}
      databaseStrategy: {standard: {shardingColumn: user_id, shardingAlgorithmName: by_user}}
      tableStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: by_id}}
      keyGenerateStrategy: {column: id, keyGeneratorName: snow}
  shardingAlgorithms:
    by_user: {type: INLINE, props: {algorithm-expression: 'ds_${user_id % 2}'}}
    by_id: {type: INLINE, props: {algorithm-expression: 't_order_${id % 2}'}}
    by_number: {type: INLINE, props: {algorithm-expression: 't_order_${id % 2}'}}
  keyGenerators:
    snow: {type: SNOWFLAKE}
- !BROADCAST
  tables: [t_country]
- !SINGLE
  tables: [ds_0.t_config]
"""
_GLOBAL = "authority:\n  users:\n  - {user: root@%, password: root}\n  - {user: app@%, password: app}\n"


def _loaded(database: str = _DATABASE, users: str = _GLOBAL) -> Configuration:
    return load_configuration({"database-shop.yaml": database, "global.yaml": users}, lambda kind, name: None)


def _changed(old: str, new: str) -> tuple[Difference, ...]:
    assert old in _DATABASE
    return differences(_loaded(), _loaded(_DATABASE.replace(old, new)))


def test_the_same_files_say_the_same() -> None:
    assert differences(_loaded(), _loaded()) == ()


def test_everything_is_new_where_there_was_nothing() -> None:
    found = differences(Configuration({}, (), {}), _loaded())
    assert [(one.kind, one.name) for one in found] == [
        ("database", "Shop"),
        ("data source", "ds_0"),
        ("data source", "ds_1"),
        ("table", "t_order"),
        ("table", "t_country"),
        ("key generator", "snow"),
        ("user", "root@%"),
        ("user", "app@%"),
    ]
    assert {one.change for one in found} == {Change.ADDED}
    assert not any(one.moves for one in found)


@pytest.mark.parametrize(
    ("old", "new", "kind", "name", "details", "moves"),
    [
        ("//b/shop_1", "//c/shop_1", "data source", "ds_1", ("host b → c",), True),
        (
            "password: one}\nrules",
            "password: two, maxPoolSize: 5}\nrules",
            "data source",
            "ds_1",
            ("another password", "max pool size 50 → 5"),
            False,
        ),
        (
            "{id % 2}",
            "{id % 4 % 2}",
            "table",
            "t_order",
            ("table strategy: properties of algorithm 'by_id'",),
            True,
        ),
        (
            "shardingAlgorithmName: by_id",
            "shardingAlgorithmName: by_number",
            "table",
            "t_order",
            ("table strategy standard of id by by_id → standard of id by by_number",),
            False,
        ),
        (
            ".t_order_${0..1}",
            ".t_order_${0..2}",
            "table",
            "t_order",
            (
                (
                    "data nodes 4 (ds_0.t_order_0, ds_0.t_order_1, ds_1.t_order_0, ds_1.t_order_1) → "
                    "6 (ds_0.t_order_0, ds_0.t_order_1, ds_0.t_order_2, … ds_1.t_order_2)"
                ),
            ),
            True,
        ),
        (
            "      keyGenerateStrategy: {column: id, keyGeneratorName: snow}\n",
            "",
            "table",
            "t_order",
            ("generated key id by snow → none",),
            False,
        ),
        (
            "[ds_0.t_config]",
            "[ds_1.t_config]",
            "setting",
            "single tables",
            ("ds_0.t_config → ds_1.t_config",),
            True,
        ),
        ("[ds_0.t_config]", "['*.*']", "setting", "single tables", ("ds_0.t_config → *.*",), False),
    ],
)
def test_one_change(old: str, new: str, kind: str, name: str, details: tuple[str, ...], moves: bool) -> None:
    assert _changed(old, new) == (Difference("Shop", kind, name, Change.CHANGED, details, moves),)


_MASKS = """\
- !MASK
  tables:
    t_user:
      columns:
        phone: {maskAlgorithm: hidden}
        mail: {maskAlgorithm: hidden, exempt: [boss]}
  maskAlgorithms:
    hidden: {type: KEEP_FIRST_N_LAST_M, props: {first-n: 1, last-m: 2, replace-char: '*'}}
"""


def test_masks() -> None:
    before = _loaded(_DATABASE + _MASKS)
    assert differences(before, _loaded(_DATABASE + _MASKS)) == ()
    [added] = differences(_loaded(), before)
    assert (added.kind, added.name, added.change) == ("masked table", "t_user", Change.ADDED)
    other = _MASKS.replace("first-n: 1", "first-n: 2").replace("        phone: {maskAlgorithm: hidden}\n", "")
    [changed] = differences(before, _loaded(_DATABASE + other))
    assert changed.details == (
        "column phone is no longer masked",
        (
            "column mail KEEP_FIRST_N_LAST_M(first-n=1, last-m=2, replace-char=*) → "
            "KEEP_FIRST_N_LAST_M(first-n=2, last-m=2, replace-char=*)"
        ),
    )
    [read] = differences(before, _loaded(_DATABASE + _MASKS.replace("[boss]", "[chief]")))
    assert read.details == ("column mail: other readers",)


def test_what_goes() -> None:
    [broadcast] = _changed("- !BROADCAST\n  tables: [t_country]\n", "")
    assert (broadcast.kind, broadcast.name, broadcast.change) == ("table", "t_country", Change.REMOVED)
    [gone] = differences(_loaded(), _loaded(users=_GLOBAL.replace("  - {user: app@%, password: app}\n", "")))
    assert gone == Difference("", "user", "app@%", Change.REMOVED)


def test_users_say_no_secrets() -> None:
    found = differences(
        _loaded(), _loaded(users=_GLOBAL.replace("password: app", "password: geheim, admin: true"))
    )
    assert [one.details for one in found] == [("another password", "other grants")]
    assert "geheim" not in repr(found)
