"""A reshard job's plan names the tables that move, what they are called meanwhile, and everything that stands in the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from dbmesh.model import ColumnFamily, ColumnSchema, TableSchema
from dbmesh.reshard.binlogs.followable import BinlogFacts, binlog_facts
from dbmesh.reshard.jobs.job import Mode
from dbmesh.reshard.jobs.scope import Seen, seen_by
from dbmesh.reshard.planning.facts import ServerFacts, TableFacts, granted
from dbmesh.reshard.planning.plan import Plan, make_plan
from dbmesh.rules.loader import load_configuration
from dbmesh.rules.ruleset import RuleSet, TransactionType

_SOURCES = """\
databaseName: shop
dataSources:
  ds_0: {url: 'mysql://a/shop_0', username: app, password: x}
  ds_1: {url: 'mysql://b/shop_1', username: app, password: x}
rules:
"""
_GLOBAL = "authority:\n  users:\n  - {user: root@%, password: root}\n"
_SHARDED = """\
- !SHARDING
  tables:
    t_order:
      actualDataNodes: ds_${0..1}.t_order_${0..1}
      databaseStrategy: {standard: {shardingColumn: user_id, shardingAlgorithmName: by_user}}
      tableStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: by_id}}
  shardingAlgorithms:
    by_user: {type: INLINE, props: {algorithm-expression: 'ds_${user_id % 2}'}}
    by_id: {type: INLINE, props: {algorithm-expression: 't_order_${id % 2}'}}
"""
_WIDER = (
    _SHARDED.replace("t_order_${0..1}", "t_order_${0..3}")
    .replace("id % 2}'", "id % 4}'")
    .replace("user_id % 4", "user_id % 2")
)
_BY_USER = _SHARDED.replace("shardingColumn: id,", "shardingColumn: user_id,").replace(
    "${id % 2}", "${user_id.intdiv(2) % 2}"
)
_SINGLE = "- !SINGLE\n  tables: ['*.*']\n"
_ALL = frozenset(("ALL",))
_NO_REPLICA = frozenset(
    ("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "TRIGGER", "INDEX")
)

_COLUMNS = (
    ColumnSchema("id", "bigint", ColumnFamily.INTEGER, nullable=False),
    ColumnSchema("user_id", "bigint", ColumnFamily.INTEGER, nullable=False),
    ColumnSchema("note", "varchar(20)", ColumnFamily.TEXT),
)
_TABLE = TableSchema("t", _COLUMNS, ("id", "user_id"))


def _rules(text: str, sources: str = _SOURCES) -> RuleSet:
    files = {"database-shop.yaml": sources + text, "global.yaml": _GLOBAL}
    return load_configuration(files, lambda kind, name: None).databases["shop"]


def _server(*names: str, schema: TableSchema = _TABLE, **facts: object) -> ServerFacts:
    tables = {name: TableFacts(replace(schema, name=name), "InnoDB", 100, 16384) for name in names}
    known = ServerFacts("11", binlog=BinlogFacts("ROW"), granted=_ALL, oldest=0, tables=tables)
    return replace(known, **facts)  # type: ignore[arg-type]


def _plan(
    before: str,
    after: str,
    first: ServerFacts,
    second: ServerFacts | None = None,
    transactions: TransactionType = TransactionType.XA,
    mode: Mode = Mode.DOUBLE_WRITE,
) -> Plan:
    old, new = _rules(before), _rules(after)
    places = [seen_by(config) for config in old.data_sources.values()]
    found: Mapping[Seen, ServerFacts] = dict(zip(places, (first, second or first), strict=True))
    return make_plan(old, new, found, transactions, "7", mode)


def _said(plan: Plan) -> list[str]:
    return [f"{'!' if one.blocks else ''}{one.about}: {one.sentence}" for one in plan.findings]


def test_new_tables_get_other_names_where_old_ones_have_theirs() -> None:
    plan = _plan(_SHARDED, _WIDER, _server("t_order_0", "t_order_1"))
    assert plan.possible
    (move,) = plan.scope.moves
    assert [str(node) for node in move.sources] == [
        "ds_0.t_order_0",
        "ds_0.t_order_1",
        "ds_1.t_order_0",
        "ds_1.t_order_1",
    ]
    assert [(str(one.node), one.built_as) for one in move.targets][:4] == [
        ("ds_0.t_order_0", "t_order_0__s7"),
        ("ds_0.t_order_1", "t_order_1__s7"),
        ("ds_0.t_order_2", "t_order_2"),
        ("ds_0.t_order_3", "t_order_3"),
    ]
    assert plan.all_rows(move) == 400
    assert plan.steps()[0] == "PREPARE: make 8 tables on ds_0, ds_1"
    assert plan.steps()[-1] == "CLEAN UP: drop 4 former tables, give 4 tables the final name"


def test_what_stays_does_not_move() -> None:
    plan = _plan(
        _SHARDED + _SINGLE,
        _SHARDED + _SINGLE,
        _server("t_order_0", "t_order_1", "t_note"),
        _server("t_order_0", "t_order_1"),
    )
    assert not plan.scope.moves
    assert not plan.possible


def test_another_key_is_a_move() -> None:
    plan = _plan(_SHARDED, _BY_USER, _server("t_order_0", "t_order_1"))
    assert [one.built_as for one in plan.scope.moves[0].targets][:2] == ["t_order_0__s7", "t_order_1__s7"]


def test_single_to_sharded_and_back() -> None:
    there = _plan(_SINGLE, _SHARDED, _server("t_order"), _server())
    assert there.scope.moves[0].details[0] == "single → sharded"
    assert there.possible
    back = _plan(_SHARDED, _SINGLE, _server("t_order_0", "t_order_1"))
    assert [str(one.node) for one in back.scope.moves[0].targets] == ["ds_0.t_order"]
    named = _plan(_SHARDED, "- !SINGLE\n  tables: [ds_1.t_order]\n", _server("t_order_0", "t_order_1"))
    assert [str(one.node) for one in named.scope.moves[0].targets] == ["ds_1.t_order"]


def test_a_table_that_the_new_rules_have_no_place_for() -> None:
    plan = _plan(_SHARDED, "- !SINGLE\n  tables: [ds_1.t_other]\n", _server("t_order_0", "t_order_1"))
    assert _said(plan) == ["!t_order: the new rules have no place for it: name one under !SINGLE"]


def test_a_data_source_elsewhere_moves_its_tables() -> None:
    old = _rules(_SHARDED)
    moved = _SOURCES.replace("mysql://b/shop_1", "mysql://c/shop_1")
    new = _rules(_SHARDED, moved)
    full, empty = _server("t_order_0", "t_order_1"), _server()
    configs = [*old.data_sources.values(), *new.data_sources.values()]
    found = {seen_by(one): empty if one.host == "c" else full for one in configs}
    plan = make_plan(old, new, found, TransactionType.XA, "7")
    assert [one.built_as for one in plan.scope.moves[0].targets] == [
        "t_order_0__s7",
        "t_order_1__s7",
        "t_order_0",
        "t_order_1",
    ]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (replace(_TABLE, primary_key=()), "!t_order: it has no primary key: its rows cannot be told apart"),
        (
            replace(_TABLE, columns=(replace(_COLUMNS[0], generated=True), *_COLUMNS[1:])),
            "!t_order: the column 'id' of its primary key is generated",
        ),
        (
            replace(
                _TABLE,
                columns=(
                    replace(_COLUMNS[0], family=ColumnFamily.FLOAT, declared_type="double"),
                    *_COLUMNS[1:],
                ),
            ),
            "!t_order: the column 'id' of its primary key is a double",
        ),
        (
            replace(_TABLE, columns=_COLUMNS[::2], primary_key=("id",)),
            "!t_order: it has no column 'user_id' to be sharded by",
        ),
        (
            replace(_TABLE, columns=(_COLUMNS[0], replace(_COLUMNS[1], nullable=True)), primary_key=("id",)),
            "t_order: its new sharding column 'user_id' may be NULL, and such rows have no data node",
        ),
        (
            replace(_TABLE, unique_keys=(("note",),)),
            "t_order: (note) will be unique on each data node only: it does not hold the sharding column",
        ),
    ],
)
def test_what_a_table_is_like(schema: TableSchema, said: str) -> None:
    assert said in _said(_plan(_SINGLE, _SHARDED, _server("t_order", schema=schema), _server()))


def test_rows_of_several_nodes_may_meet() -> None:
    schema = replace(_TABLE, unique_keys=(("note",),))
    plan = _plan(_SHARDED, _WIDER, _server("t_order_0", "t_order_1", schema=schema))
    assert _said(plan) == [
        "t_order: two rows of different data nodes may have the same (note), and meet in a new one: the job would stop there"
    ]


def test_what_is_there_and_what_is_not() -> None:
    plan = _plan(_SHARDED, _WIDER, _server("t_order_0", "t_order_1", "t_order_2"), _server("t_order_0"))
    assert _said(plan)[:2] == [
        "!ds_1.t_order_1: the table is not there",
        "!ds_0.t_order_2: there is such a table already, with about 100 rows",
    ]


def test_nodes_that_are_not_alike() -> None:
    other = replace(_TABLE, columns=_COLUMNS[:2])
    plan = _plan(
        _SHARDED, _WIDER, _server("t_order_0", "t_order_1"), _server("t_order_0", "t_order_1", schema=other)
    )
    assert "!ds_1.t_order_0: its columns or keys are not those of ds_0.t_order_0" in _said(plan)


def test_what_runs_beside_a_write() -> None:
    facts = TableFacts(
        _TABLE, "MyISAM", 1, 1, ("log_it",), ("fk_user",), programs=("event nightly", "procedure p")
    )
    plan = _plan(
        _SINGLE,
        _SHARDED,
        _server(tables={"t_order": replace(facts, schema=replace(_TABLE, name="t_order"))}),
        _server(),
    )
    assert _said(plan) == [
        "!ds_0.t_order: its engine MyISAM has no transactions",
        "!ds_0.t_order: it has triggers (log_it), which would run on both sides",
        "!ds_0.t_order: stored programs name it (event nightly, procedure p): what they write would be on one side alone",
        "!ds_0.t_order: foreign keys (fk_user) bind it: their rows would have to move together",
    ]


def test_a_view_on_the_data_source_of_a_single_table() -> None:
    view = TableFacts(
        TableSchema("v", _COLUMNS[:1], definition="select `t_order`.`id` AS `id` from `t_order`")
    )
    table = TableFacts(replace(_TABLE, name="t_order"), "InnoDB", 1, 1)
    plan = _plan(_SINGLE, _SHARDED, _server(tables={"t_order": table, "v": view}), _server())
    assert _said(plan) == ["!t_order: the view 'v' reads it on its data source"]


def test_a_view_of_the_mesh_over_a_sharded_table() -> None:
    tables = {
        name: TableFacts(replace(_TABLE, name=name), "InnoDB", 1, 1) for name in ("t_order_0", "t_order_1")
    }
    text = "select `t_order`.`id` AS `id` from `shop_0`.`t_order_0` `t_order`"
    view = TableFacts(TableSchema("dbmesh_v_v", _COLUMNS[:1], definition=text))
    plan = _plan(_SHARDED, _WIDER, _server(tables={**tables, "dbmesh_v_v": view}), _server(tables=tables))
    assert "!t_order: the view 'v' reads it on its data source" in _said(plan)


def test_encryption_that_changes() -> None:
    encrypted = (
        "- !ENCRYPT\n  tables: {t_order: {columns: {note: {cipher: {name: note, encryptorName: aes}, dataType: VARCHAR(20)}}}}\n"
        "  encryptors: {aes: {type: AES, props: {aes-key-value: 'KEY', digest-algorithm-name: SHA-1}}}\n"
    )
    names = _server("t_order_0", "t_order_1")
    said = "!t_order: its columns are encrypted otherwise by the new rules, and rows are moved as they are stored"
    same = _plan(_SHARDED + encrypted, _WIDER + encrypted, names)
    assert said not in _said(same)
    other = _plan(_SHARDED + encrypted, _WIDER + encrypted.replace("KEY", "OTHER"), names)
    assert said in _said(other)


def test_servers() -> None:
    plan = _plan(
        _SHARDED,
        _WIDER,
        _server(
            "t_order_0", "t_order_1", granted=frozenset(("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE"))
        ),
        ServerFacts(unreachable="no answer"),
    )
    assert _said(plan)[:3] == [
        "!ds_0: the account 'app' has not got ALTER, DROP, TRIGGER",
        "ds_0: the account 'app' has not got REPLICATION CLIENT, REPLICATION SLAVE: writes that bypass the mesh are found by verification only",
        "!ds_1: no answer",
    ]
    quiet = _plan(_SHARDED, _WIDER, _server("t_order_0", "t_order_1", binlog=BinlogFacts(), oldest=61))
    assert _said(quiet)[:2] == [
        "ds_0: the server's binlog is off: writes that bypass the mesh are found by verification only",
        "ds_0: a transaction has been open for 61 s; copying begins when it has ended",
    ]
    assert quiet.possible


def test_binlogs_that_cannot_be_followed() -> None:
    settings = {
        "log_bin": "ON",
        "binlog_format": "MIXED",
        "binlog_row_image": "MINIMAL",
        "binlog_row_value_options": "PARTIAL_JSON",
        "binlog_transaction_compression": "ON",
        "mysql56_temporal_format": "OFF",
    }
    only = replace(_TABLE, primary_key=("id",))
    plan = _plan(
        _SHARDED,
        _BY_USER,
        _server("t_order_0", "t_order_1", schema=only, binlog=binlog_facts(settings, "other, more")),
        _server(
            "t_order_0",
            "t_order_1",
            schema=only,
            binlog=binlog_facts({"log_bin": "ON", "binlog_format": "ROW"}, "", "SHOP_1"),
        ),
    )
    tail = ": writes that bypass the mesh are found by verification only"
    said = [one.removesuffix(tail) for one in _said(plan) if one.endswith(tail)]
    assert said == [
        "ds_0: the server's binlog is MIXED",
        "ds_0: events under the server's binlog_row_value_options are not read",
        "ds_0: events under the server's binlog_transaction_compression are not read",
        "ds_0: events under the server's mysql56_temporal_format are not read",
        "ds_0: the server's binlog leaves 'shop_0' out",
        "ds_1: the server's binlog leaves 'shop_1' out",
        "t_order: its binlog has primary keys alone, without user_id",
    ]
    columns = (*_COLUMNS[1:], ColumnSchema("id", "uuid", ColumnFamily.OTHER, nullable=False))
    plan = _plan(_SHARDED, _WIDER, _server("t_order_0", "t_order_1", schema=replace(_TABLE, columns=columns)))
    assert f"t_order: following rows by the column 'id' of the type uuid{tail}" in _said(plan)
    assert binlog_facts({"log_bin": "OFF", "binlog_format": "ROW"}) == BinlogFacts()


def test_what_the_mode_cdc_cannot_do_without() -> None:
    tail = ": in the mode cdc nothing else tells what is written"
    only = replace(_TABLE, primary_key=("id",))
    settings = {"log_bin": "ON", "binlog_format": "STATEMENT", "binlog_row_image": "MINIMAL"}
    plan = _plan(
        _SHARDED,
        _BY_USER,
        _server("t_order_0", "t_order_1", schema=only, binlog=binlog_facts(settings)),
        _server("t_order_0", "t_order_1", schema=only, binlog=BinlogFacts(), granted=_NO_REPLICA),
        mode=Mode.CDC,
    )
    assert not plan.possible
    assert [one.removesuffix(tail) for one in _said(plan) if one.endswith(tail)] == [
        "!ds_0: the server's binlog is STATEMENT",
        "!ds_1: the server's binlog is off",
        "!t_order: its binlog has primary keys alone, without user_id",
    ]
    blind = _server("t_order_0", "t_order_1", granted=_NO_REPLICA)
    plan = _plan(_SHARDED, _WIDER, _server("t_order_0", "t_order_1"), blind, mode=Mode.CDC)
    (finding,) = plan.findings
    assert _said(plan) == [
        f"!ds_1: the account 'app' has not got REPLICATION CLIENT, REPLICATION SLAVE{tail}"
    ]
    assert finding.cure == (
        "GRANT REPLICATION CLIENT, REPLICATION SLAVE ON *.* TO 'app'; or take the mode double-write"
    )


def test_a_server_that_only_gets_rows_needs_no_binlog_in_the_mode_cdc() -> None:
    full, empty = _server("t_order"), _server(binlog=BinlogFacts())
    plan = _plan(_SINGLE, _SHARDED, full, empty, mode=Mode.CDC)
    assert plan.possible, _said(plan)
    assert [step.partition(":")[0] for step in plan.steps()] == [
        "PREPARE",
        "COPY",
        "CATCH UP",
        "DOUBLE WRITE",
        "LISTEN",
        "VERIFY",
        "CUTOVER",
        "REVERSE DOUBLE WRITE",
        "CLEAN UP",
    ]


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_sources_without_binlogs_in_the_mode_cdc(kind: str) -> None:
    url = {"postgresql": "postgresql://c/shop_1", "sqlite": "sqlite:///tmp/shop_1.db"}[kind]
    sources = _SOURCES.replace("mysql://b/shop_1", url)
    old, new = _rules(_SHARDED, sources), _rules(_WIDER, sources)
    found = {seen_by(one): _server("t_order_0", "t_order_1") for one in old.data_sources.values()}
    plan = make_plan(old, new, found, TransactionType.XA, "7", Mode.CDC)
    said = "!ds_1: it is no MySQL or MariaDB server, and has no binlog: in the mode cdc nothing else tells what is written"
    assert said in _said(plan)
    assert said not in _said(make_plan(old, new, found, TransactionType.XA, "7"))


def test_rows_that_hints_place_and_rows_in_shadows() -> None:
    hinted = _SHARDED.replace(
        "tableStrategy: {standard: {shardingColumn: id, shardingAlgorithmName: by_id}}",
        "tableStrategy: {hint: {shardingAlgorithmName: told}}",
    ).replace(
        "  shardingAlgorithms:\n",
        "  shardingAlgorithms:\n    told: {type: HINT_INLINE, props: {algorithm-expression: 't_order_${value}'}}\n",
    )
    plan = _plan(_SHARDED, hinted, _server("t_order_0", "t_order_1"))
    assert (
        "!t_order: by the new rules hints place its rows: nothing in a row tells where it belongs"
        in _said(plan)
    )
    shadow = (
        "- !SHADOW\n  dataSources: {p: {productionDataSourceName: ds_0, shadowDataSourceName: ds_9}, "
        "q: {productionDataSourceName: ds_1, shadowDataSourceName: ds_8}}\n"
        "  tables: {t_order: {dataSourceNames: [p, q], shadowAlgorithmNames: [hint]}}\n"
        "  shadowAlgorithms: {hint: {type: SQL_HINT}}\n"
    )
    more = "".join(
        f"  ds_{number}: {{url: 'mysql://a/shop_{number}', username: app, password: x}}\n"
        for number in (8, 9)
    )
    sources = _SOURCES.replace("rules:", f"{more}rules:")
    old, new = _rules(_SHARDED + shadow, sources), _rules(_WIDER + shadow, sources)
    full = _server("t_order_0", "t_order_1")
    found = {seen_by(one): full for one in old.data_sources.values()}
    plan = make_plan(old, new, found, TransactionType.XA, "7")
    assert "!t_order: the rule !SHADOW names it, and rows in shadows would stay" in _said(plan)


def test_transactions_that_are_not_one() -> None:
    plan = _plan(_SHARDED, _WIDER, _server("t_order_0", "t_order_1"), transactions=TransactionType.BASE)
    assert _said(plan) == [
        "!transaction: transactions are of type BASE: a write to both sides would not be one"
    ]


@pytest.mark.parametrize(
    ("line", "privileges"),
    [
        ("GRANT ALL PRIVILEGES ON *.* TO `app`@`%` WITH GRANT OPTION", {"ALL"}),
        ("GRANT SELECT, INSERT ON `shop\\_1`.* TO `app`@`%`", {"SELECT", "INSERT"}),
        ("GRANT SELECT ON `shop%`.* TO `app`@`%`", {"SELECT"}),
        ("GRANT SELECT ON `shopx1`.* TO `app`@`%`", set()),
        ("GRANT SELECT ON `shop_1`.`t_order` TO `app`@`%`", set()),
        ("GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*81F5'", {"USAGE"}),
        ("GRANT `reader`@`%` TO `app`@`%`", set()),
        (
            "GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO `app`@`%`",
            {"REPLICATION SLAVE", "BINLOG MONITOR"},
        ),
    ],
)
def test_grants(line: str, privileges: set[str]) -> None:
    assert granted("shop_1", [line]) == privileges


def test_rows_that_cannot_be_placed_by_their_images() -> None:
    moment = replace(_COLUMNS[1], declared_type="timestamp", family=ColumnFamily.TEMPORAL)
    schema = replace(_TABLE, columns=(_COLUMNS[0], moment, _COLUMNS[2]))
    plan = _plan(_SHARDED, _WIDER, _server("t_order_0", "t_order_1", schema=schema))
    assert not plan.possible
    assert any("'user_id' as a sharding column of rows that move" in said for said in _said(plan)), _said(
        plan
    )


def test_numbers_that_nobody_gives() -> None:
    counted = replace(_COLUMNS[0], auto_increment=True)
    schema = replace(_TABLE, columns=(counted, *_COLUMNS[1:]))
    said = _said(_plan(_SHARDED, _WIDER, _server("t_order_0", "t_order_1", schema=schema)))
    assert (
        "t_order: the new rules give its AUTO_INCREMENT column 'id' no numbers: an INSERT without it fails from the cutover on"
        in said
    )


def test_pools_of_both_sides_that_a_server_cannot_take_are_named() -> None:
    old = _rules(_SHARDED)
    new = _rules(_WIDER.replace("ds_$", "new_$"), _SOURCES.replace("ds_", "new_"))
    for most, said in (
        (
            99,
            ["ds_0, new_0: while it runs a sidecar may open 100 connections to their server, which takes 99"],
        ),
        (100, []),
        (0, []),
    ):
        facts = _server("t_order_0", "t_order_1", most_connections=most)
        roomy = _server("t_order_0", "t_order_1", most_connections=1000)
        found = dict(zip(map(seen_by, old.data_sources.values()), (facts, roomy), strict=True))
        plan = make_plan(old, new, found, TransactionType.XA, "7", Mode.DOUBLE_WRITE)
        assert plan.possible
        assert [one for one in _said(plan) if "connections" in one] == said
    kept = _plan(_SHARDED, _WIDER, _server("t_order_0", "t_order_1", most_connections=1))
    assert not [one for one in _said(kept) if "connections" in one]
