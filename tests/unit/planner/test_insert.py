"""INSERT: no row is lost, repeated or misplaced, whatever the rows look like."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbmesh.model import UnsignedInteger
from dbmesh.planner.insert import plan_insert
from dbmesh.planner.session_view import SessionValues
from tests.plugins.planner_world import call_of, context_of

_WORDS = st.text(alphabet="ab%',();\\? -", max_size=6)


def _quoted(word: str) -> str:
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-50, 50), _WORDS), min_size=1, max_size=12))
def test_every_row_goes_to_its_node_once_in_order(rows: list[tuple[int, str]]) -> None:
    texts = [f"({number}, {_quoted(word)})" for number, word in rows]
    sql = f"INSERT INTO t_order_item (user_id, item_id) VALUES {', '.join(texts)}"
    bound = plan_insert(context_of(sql)).bind(call_of(sql))
    expected: dict[int, list[str]] = {}
    for (number, _), text in zip(rows, texts, strict=True):
        expected.setdefault(number % 4, []).append(text)
    assert {shot.sql.decode() for shot in bound.shots} == {
        f"INSERT INTO t_order_item_{node} (user_id, item_id) VALUES {','.join(own)}"
        for node, own in expected.items()
    }
    assert len(bound.shots) == len(expected)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), _WORDS), min_size=1, max_size=6))
def test_parameters_are_placed_like_literals(rows: list[tuple[int, str]]) -> None:
    sql = f"INSERT INTO t_order_item (user_id, item_id) VALUES {', '.join(['(?, ?)'] * len(rows))}"
    parameters = tuple(value for row in rows for value in row)
    bound = plan_insert(context_of(sql)).bind(call_of(sql, parameters))
    counts = {shot.sql.decode().split()[2]: shot.sql.decode().count("(") - 1 for shot in bound.shots}
    wanted: dict[str, int] = {}
    for number, word in rows:
        name = f"t_order_item_{number % 4}"
        wanted[name] = wanted.get(name, 0) + 1 + word.count("(")
    assert counts == wanted


def test_keys_are_generated_for_the_rows_without_one_only() -> None:
    sql = "INSERT INTO t_key (id, name) VALUES (NULL, 'a'), (7, 'b'), (0, 'c')"
    bound = plan_insert(context_of(sql)).bind(call_of(sql))
    assert [(shot.data_source, shot.sql) for shot in bound.shots] == [
        ("ds_0", b"INSERT INTO t_key_0 (id, name) VALUES (1000, 'a')"),
        ("ds_1", b"INSERT INTO t_key_3 (id, name) VALUES (7, 'b')"),
        ("ds_0", b"INSERT INTO t_key_1 (id, name) VALUES (1001, 'c')"),
    ]
    assert bound.generated_id == 1000


def test_the_prototype_keeps_every_parameter() -> None:
    sql = "INSERT INTO t_order (user_id, status) VALUES (?, ?), (?, 'x')"
    assert plan_insert(context_of(sql)).prototype().sql == (
        b"INSERT INTO t_order_0 (user_id, status, `order_id`) VALUES (?, ?, NULL),(?, '', NULL)"
    )


def test_a_thousand_rows_plan_as_one() -> None:
    one = plan_insert(context_of("INSERT INTO t_order_item (item_id, user_id) VALUES (1, 2)"))
    sql = "INSERT INTO t_order_item (item_id, user_id) VALUES " + ", ".join(
        f"({n}, {n})" for n in range(1000)
    )
    assert context_of(sql).statement.text.count("(") == 2
    assert sum(shot.sql.count(b"),(") + 1 for shot in one.bind(call_of(sql)).shots) == 1000


class _Lenient(SessionValues):
    """A session whose servers take a row alone otherwise."""

    def singles_out(self, *, ignores: bool) -> bool:
        return True


@pytest.mark.parametrize(
    ("sql", "shots"),
    [
        (
            "INSERT INTO t_order_item (user_id, item_id) VALUES (1, NULL), (2, f(1, 'a,)')), (5, 3)",
            {
                "INSERT INTO t_order_item_1 (user_id, item_id) VALUES (1, NULL),(5, 3)",
                "INSERT INTO t_order_item_2 (user_id, item_id) SELECT 2, f(1, 'a,)') ",
            },
        ),
        (
            "INSERT INTO t_order_item (user_id, item_id) VALUES (1, NULL)",
            {"INSERT INTO t_order_item_1 (user_id, item_id) VALUES (1, NULL)"},
        ),
        (
            "INSERT INTO t_order_item (user_id, item_id) VALUES (1, DEFAULT), (2, 2)",
            {
                "INSERT INTO t_order_item_1 (user_id, item_id) VALUES (1, DEFAULT)",
                "INSERT INTO t_order_item_2 (user_id, item_id) VALUES (2, 2)",
            },
        ),
    ],
)
def test_a_row_alone_is_sent_as_one_of_several(sql: str, shots: set[str]) -> None:
    call = call_of(sql)
    call.session = _Lenient()
    assert {shot.sql.decode() for shot in plan_insert(context_of(sql)).bind(call).shots} == shots


def test_an_unsigned_value_is_written_plainly_where_it_is_stored() -> None:
    sql = "INSERT INTO t_order_item (user_id, item_id) VALUES (?, ?), (2, ? - 1)"
    bound = plan_insert(context_of(sql)).bind(call_of(sql, tuple(map(UnsignedInteger, (1, 7, 8)))))
    assert {shot.sql.decode() for shot in bound.shots} == {
        "INSERT INTO t_order_item_1 (user_id, item_id) VALUES (1, 7)",
        "INSERT INTO t_order_item_2 (user_id, item_id) VALUES (2, CAST(8 AS UNSIGNED) - 1)",
    }
