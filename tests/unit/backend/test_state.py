"""Applying a transition's statements always reaches the wanted state."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.backend.state import (
    ACCESS_MODE,
    ISOLATION,
    KNOWN,
    SessionState,
    Transition,
    forgetting,
    keeping_characteristics,
    transition,
)

VARIABLES = st.dictionaries(
    st.sampled_from(["sql_mode", "time_zone", "autocommit", "group_concat_max_len"]),
    st.sampled_from(["ON", "0", "'ANSI'", "DEFAULT_VALUE"]),
)
CHARACTERISTICS = st.fixed_dictionaries(
    {},
    optional={
        ISOLATION: st.sampled_from(["ISOLATION LEVEL READ COMMITTED", "ISOLATION LEVEL SERIALIZABLE"]),
        ACCESS_MODE: st.sampled_from(["READ ONLY", "READ WRITE"]),
    },
)


FRESH = "autocommit = 1, sql_select_limit = 18446744073709551615"


@st.composite
def states(draw: st.DrawFn) -> SessionState:
    variables = {**draw(VARIABLES), **draw(CHARACTERISTICS)}
    users = draw(st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["1", "'x'"])))
    names = draw(st.sampled_from(["utf8mb4", "latin1", "utf8mb4 COLLATE utf8mb4_bin"]))
    return SessionState(names, tuple(sorted(variables.items())), tuple(sorted(users.items())))


def apply(state: SessionState, way: Transition) -> SessionState:
    """What a server's session is after the statements: a small reading of SET."""
    if way.reset:
        state = SessionState(names="")
    names, variables = state.names, dict(state.variables)
    users = dict(state.user_variables)
    for statement in way.statements:
        if statement.startswith("SET SESSION TRANSACTION "):
            text = statement.removeprefix("SET SESSION TRANSACTION ")
            variables[ISOLATION if "ISOLATION" in text else ACCESS_MODE] = text
            continue
        for part in statement.removeprefix("SET ").split(", "):
            if part.startswith("NAMES "):
                names = part.removeprefix("NAMES ")
            elif user := re.fullmatch(r"@`(\w+)` = (.*)", part):
                users[user[1]] = user[2]
                if user[2] == "NULL":
                    del users[user[1]]
            else:
                name, _, value = part.partition(" = ")
                variables[name] = value
                if value in ("DEFAULT", KNOWN.get(name)):
                    del variables[name]
    return SessionState(names, tuple(sorted(variables.items())), tuple(sorted(users.items())))


@given(states(), states())
def test_the_way_leads_to_the_wanted_state(current: SessionState, wanted: SessionState) -> None:
    assert apply(current, transition(current, wanted)) == wanted


@given(states(), states(), st.sets(st.sampled_from(["a", "b", "c"])))
def test_what_nobody_knows_of_a_connection_is_said(
    current: SessionState, wanted: SessionState, unknown: set[str]
) -> None:
    holds = current
    for name in unknown:
        holds = holds.with_user_variable(name, "'another one''s'")
    assert apply(holds, transition(forgetting(current, unknown), wanted)) == wanted


@given(states())
def test_there_is_nothing_to_do_between_equal_states(state: SessionState) -> None:
    assert transition(state, state) == Transition(False, ())


def test_one_statement_brings_a_new_connection_to_a_state() -> None:
    wanted = SessionState().with_variable("SQL_MODE", "'ANSI'").with_user_variable("A", "1")
    assert transition(SessionState(names=""), wanted) == Transition(
        False, (f"SET NAMES utf8mb4, {FRESH}, sql_mode = 'ANSI', @`a` = 1",)
    )


def test_names_of_user_variables_are_no_more_than_names() -> None:
    named = SessionState().with_user_variable("a` = 1, password = 'x', @`b", "1")
    quoted = "@`a`` = 1, password = 'x', @``b`"
    assert transition(SessionState(), named).statements == (f"SET {quoted} = 1",)
    assert transition(named, SessionState()).statements == (f"SET {quoted} = NULL",)


@pytest.mark.parametrize(
    ("variable", "value"), [(ISOLATION, "ISOLATION LEVEL SERIALIZABLE"), ("rand_seed1", "5")]
)
def test_giving_up_what_has_no_default_resets_the_connection(variable: str, value: str) -> None:
    told = SessionState().with_variable(variable, value)
    assert transition(told, SessionState()) == Transition(True, (f"SET NAMES utf8mb4, {FRESH}",))


def test_defaults_the_mesh_relies_on_are_the_same_on_every_server() -> None:
    limited = SessionState().with_variable("sql_select_limit", "5")
    assert transition(limited, SessionState()).statements == ("SET sql_select_limit = 18446744073709551615",)
    assert transition(SessionState(names=""), limited).statements == (
        "SET NAMES utf8mb4, autocommit = 1, sql_select_limit = 5",
    )


def test_a_variable_is_read_back_and_returns_to_its_default() -> None:
    state = SessionState().with_variable("Time_Zone", "'UTC'")
    assert state.variable("time_zone") == "'UTC'"
    assert state.with_variable("time_zone", None) == SessionState()
    assert SessionState().with_user_variable("X", "2").user_variable("x") == "2"


def test_characteristics_that_were_given_up_are_kept_where_a_reset_would_cost_a_transaction() -> None:
    current = SessionState().with_variable(ISOLATION, "ISOLATION LEVEL SERIALIZABLE").with_variable("a", "1")
    wanted = SessionState().with_variable("b", "2")
    kept = keeping_characteristics(current, wanted)
    assert kept == wanted.with_variable(ISOLATION, "ISOLATION LEVEL SERIALIZABLE")
    assert not transition(current, kept).reset
    assert transition(current, wanted).reset
    assert keeping_characteristics(wanted, current) == current


def test_text_that_is_recoded_comes_to_servers_in_utf8() -> None:
    recoded = SessionState().with_names("gbk COLLATE gbk_bin", "gbk")
    names = "SET NAMES gbk COLLATE gbk_bin"
    assert transition(SessionState(), recoded).statements == (f"{names}, character_set_client = utf8mb4",)
    assert transition(recoded, SessionState("gbk COLLATE gbk_bin")).statements == (names,)
    assert transition(recoded, SessionState()).statements == ("SET NAMES utf8mb4",)
    assert recoded.with_names("utf8mb4") == SessionState()
