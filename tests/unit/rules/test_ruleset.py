"""Routing of tables: strategies together, hints, NULL, and the fast routers agreeing with the general route."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbmesh.errors import NO_ROUTE, MeshError
from dbmesh.model import DataNode
from dbmesh.rules.algorithms.complex_inline import ComplexInline
from dbmesh.rules.algorithms.hash_mod import HashMod
from dbmesh.rules.algorithms.hint_inline import HintInline
from dbmesh.rules.algorithms.inline import Inline
from dbmesh.rules.algorithms.mod import Mod
from dbmesh.rules.inline import parse_template
from dbmesh.rules.ruleset import Hints, Range, RuleSet, ShardedTable, Strategy, Values
from dbmesh.rules.values import UNKNOWN_KEY

NONE = Strategy("none")
HINTS = Hints()
GRID = tuple(DataNode(f"ds_{source}", f"t_{table}") for source in range(2) for table in range(2))
DIAGONAL = tuple(DataNode(f"ds_{number % 2}", f"t_{number}") for number in range(4))


def by(column: str, expression: str) -> Strategy:
    return Strategy("standard", (column,), Inline(parse_template(expression)), "a")


ONE_COLUMN = ShardedTable("t", GRID, by("id", "ds_${id % 2}"), by("id", "t_${id.intdiv(2) % 2}"))
TWO_COLUMNS = ShardedTable("t", GRID, by("user_id", "ds_${user_id % 2}"), by("order_id", "t_${order_id % 2}"))
AUTO = ShardedTable("t", DIAGONAL, NONE, Strategy("standard", ("id",), Mod(4), "m"))
BY_HINT = ShardedTable(
    "t", GRID, Strategy("hint", (), HintInline(parse_template("ds_${value}")), "h"), by("id", "t_${id % 2}")
)


def names(nodes: tuple[DataNode, ...]) -> list[str]:
    return [str(node) for node in nodes]


def test_one_column_decides_both_levels() -> None:
    router = ONE_COLUMN.point_router()
    assert router is not None
    assert str(router(3)) == "ds_1.t_1"
    assert names(ONE_COLUMN.route({"id": Values((0, 3))}, HINTS)) == ["ds_0.t_0", "ds_1.t_1"]
    assert ONE_COLUMN.pair_router() is None


def test_two_columns_decide_one_level_each() -> None:
    assert TWO_COLUMNS.point_router() is None
    pair = TWO_COLUMNS.pair_router()
    assert pair is not None
    assert pair[:2] == ("user_id", "order_id")
    assert str(pair[2](3, 4)) == "ds_1.t_0"
    assert names(TWO_COLUMNS.route({"user_id": Values((1,))}, HINTS)) == ["ds_1.t_0", "ds_1.t_1"]
    assert names(TWO_COLUMNS.route({"order_id": Values((1,))}, HINTS)) == ["ds_0.t_1", "ds_1.t_1"]
    assert TWO_COLUMNS.route({"user_id": Range(1, 2)}, HINTS) == GRID
    assert TWO_COLUMNS.sharding_columns == ("user_id", "order_id")


def test_an_auto_table_is_decided_by_its_table_strategy() -> None:
    router = AUTO.point_router()
    assert router is not None
    assert str(router(-1)) == "ds_1.t_3"
    assert names(AUTO.route({"id": Range(1, 2)}, HINTS)) == ["ds_1.t_1", "ds_0.t_2"]


@pytest.mark.parametrize("table", [ONE_COLUMN, TWO_COLUMNS, AUTO])
@pytest.mark.parametrize("value", [None, UNKNOWN_KEY])
def test_null_and_unknown_keys_reach_every_node_but_place_no_row(table: ShardedTable, value: object) -> None:
    columns = table.sharding_columns
    condition = Values((1, value))  # type: ignore[arg-type]
    assert table.route(dict.fromkeys(columns, condition), HINTS) == table.nodes
    with pytest.raises(MeshError) as caught:
        table.place(dict.fromkeys(columns, value), HINTS)  # type: ignore[arg-type]
    assert caught.value.kind is NO_ROUTE


def test_a_complex_strategy_needs_every_column() -> None:
    algorithm = ComplexInline(parse_template("t_${(a + b) % 4}"))
    table = ShardedTable("t", DIAGONAL, NONE, Strategy("complex", ("a", "b"), algorithm, "c"))
    assert table.route({"a": Values((1,))}, HINTS) == DIAGONAL
    assert names(table.route({"a": Values((1,)), "b": Values((2,))}, HINTS)) == ["ds_1.t_3"]
    assert table.point_router() is None
    with pytest.raises(MeshError, match="needs a value of sharding column 'b'"):
        table.place({"a": 1}, HINTS)


def test_place_names_one_node_or_refuses() -> None:
    assert str(TWO_COLUMNS.place({"user_id": 1, "order_id": 0}, HINTS)) == "ds_1.t_0"
    assert str(AUTO.place({"id": 2}, HINTS)) == "ds_0.t_2"
    with pytest.raises(MeshError, match="needs a value of sharding column 'order_id'"):
        TWO_COLUMNS.place({"user_id": 1}, HINTS)
    with pytest.raises(MeshError, match="2 data nodes remain"):
        BY_HINT.place({"id": 1}, HINTS)


def test_a_value_without_a_node_is_an_error_of_the_table() -> None:
    with pytest.raises(MeshError) as caught:
        TWO_COLUMNS.route({"user_id": Values((-1,))}, HINTS)
    assert caught.value.number == 1526
    assert "table 't' has no data node for the value -1" in str(caught.value)
    gap = ShardedTable("t", GRID[:3], TWO_COLUMNS.database_strategy, TWO_COLUMNS.table_strategy)
    with pytest.raises(MeshError, match="no such table"):
        gap.route({"user_id": Values((1,)), "order_id": Values((1,))}, HINTS)
    pair = gap.pair_router()
    assert pair is not None
    with pytest.raises(MeshError, match=r"'ds_1.t_1' is not among"):
        pair[2](1, 1)


def test_hints_choose_for_hint_strategies_only() -> None:
    assert names(BY_HINT.route({"id": Values((1,))}, Hints(database_values={"t": (1,)}))) == ["ds_1.t_1"]
    assert names(BY_HINT.route({}, Hints(database_values={"": (0,)}))) == ["ds_0.t_0", "ds_0.t_1"]
    both = Hints(database_values={"": (0,), "t": (1,)})
    assert names(BY_HINT.route({}, both)) == ["ds_1.t_0", "ds_1.t_1"], "the table's own hint comes first"
    assert BY_HINT.route({}, HINTS) == GRID
    assert AUTO.route({}, Hints(table_values={"t": (1,)})) == AUTO.nodes


def test_equal_table_names_on_several_sources_have_no_point_router() -> None:
    table = ShardedTable("t", GRID, NONE, by("id", "t_${id % 2}"))
    assert table.point_router() is None
    assert names(table.route({"id": Values((1,))}, HINTS)) == ["ds_0.t_1", "ds_1.t_1"]


@settings(deadline=None)
@given(st.integers(), st.lists(st.integers(0, 2**40), min_size=1, max_size=5))
def test_lists_reach_every_members_node(key: int, others: list[int]) -> None:
    table = ShardedTable("t", DIAGONAL, NONE, Strategy("standard", ("id",), HashMod(4), "h"))
    router = table.point_router()
    assert router is not None
    nodes = table.route({"id": Values((key, *others))}, HINTS)
    assert set(nodes) == {router(value) for value in (key, *others)}
    assert list(nodes) == [node for node in table.nodes if node in nodes]


def test_tables_and_groups_are_found_without_case() -> None:
    rules = RuleSet("shop", 1, {}, {"t": AUTO}, (("t", "u"),))
    assert rules.table("T") is AUTO
    assert rules.binding_group("U") == ("t", "u")
    assert rules.binding_group("x") is None
