"""A traceparent is read where sqlcommenter writes it, and nothing else is taken for one."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.sql.trace_context import WORD, TraceContext, context_of_text, read_traceparent

PARENT = "00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01"
CONTEXT = TraceContext(0x5BD66EF5095369C7B0D1F8F4BD33716A, 0xC532CB4098AC3DD2, sampled=True)


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT 1 /*traceparent='{PARENT}'*/",
        f"SELECT 1 /*traceparent='{PARENT}'*/ ; ",
        f"/* traceparent='{PARENT}' */ SELECT 1",
        f"SELECT 1 /*action='%2Fparam%2Ad',db_driver='it\\'s',traceparent='{PARENT}'*/",
        f"SELECT '/*' /*framework='spring', traceparent='{quote(PARENT)}',route='a'*/",
    ],
)
def test_a_context_in_a_comment(sql: str) -> None:
    assert context_of_text(sql) == CONTEXT


def test_the_state_of_other_systems() -> None:
    found = context_of_text(f"SELECT 1 /*traceparent='{PARENT}',tracestate='a%3Db%2Cc%3Dd'*/")
    assert found is not None
    assert found.state == "a=b,c=d"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        f"SELECT '/*traceparent=''{PARENT}''*/'",
        f"SELECT 1 -- traceparent='{PARENT}'",
        f"SELECT /*traceparent='{PARENT}'*/ 1",
        "SELECT 1 /*traceparent='00-zz-1-01'*/",
        "SELECT 1 /*traceparent*/",
        "/*/ traceparent",
        "traceparent*/",
    ],
)
def test_what_is_no_context(sql: str) -> None:
    assert context_of_text(sql) is None


@pytest.mark.parametrize(
    "text",
    [
        PARENT.upper(),
        PARENT.replace("00-", "ff-", 1),
        PARENT + "-more",
        f"00-{'0' * 32}-c532cb4098ac3dd2-01",
        f"00-{'1' * 32}-{'0' * 16}-01",
        PARENT[:-1],
        "",
    ],
)
def test_a_traceparent_that_is_none(text: str) -> None:
    assert read_traceparent(text) is None


def test_a_later_version_may_say_more() -> None:
    assert read_traceparent("01" + PARENT[2:] + "-more") == CONTEXT


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_every_context_is_read_as_it_was_written(trace_id: int, span_id: int, sampled: bool) -> None:
    text = f"00-{trace_id:032x}-{span_id:016x}-{sampled:02x}"
    assert read_traceparent(text) == TraceContext(trace_id, span_id, sampled)


@given(st.text(alphabet="/*'=,traceparent-0123;\\% \n", max_size=60))
def test_any_text_is_read(text: str) -> None:
    context_of_text(text + "traceparent")


@pytest.mark.parametrize("filling", ["a", " ", "a='", "a=' ", "\\'", "a='\\',", "=", ",a"])
def test_a_long_comment_costs_its_length(filling: str) -> None:
    """Read again and again, one of this length would take an hour."""
    comment = f"/* {filling * 200_000} ,{WORD}='{PARENT}' */"
    context_of_text(comment + " SELECT 1")
    assert context_of_text(f"/* {'a' * 200_000} ,{WORD}='{PARENT}' */ SELECT 1") == CONTEXT


@pytest.mark.parametrize(
    ("state", "read"),
    [
        ("a=b", "a=b"),
        ("a=b , 1x@vendor=c d,", "a=b,1x@vendor=c d"),
        ("=b", ""),
        ("a=b\nINFO: logged", ""),
        ("A=b", ""),
        ("a=é", ""),
        ("a=" + "b" * 511, ""),
        (",".join(f"k{number}=v" for number in range(33)), ""),
    ],
)
def test_a_tracestate_that_is_none_is_left_out(state: str, read: str) -> None:
    found = read_traceparent(PARENT, state)
    assert found is not None
    assert found.state == read
