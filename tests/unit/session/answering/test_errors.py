"""Errors as a client sees them."""

from __future__ import annotations

import pytest

from dbmesh.errors import ShardError, not_supported
from dbmesh.planner.plan import Names
from dbmesh.session.answering.errors import as_packet, logic_error, logic_text

NAMES = Names("shop", {"t_order_1": "t_order", "t_order_10": "t_order", "t_user": "t_user"})


@pytest.mark.parametrize(
    ("text", "logic"),
    [
        ("Table 'shop_1.t_order_1' doesn't exist", "Table 'shop.t_order' doesn't exist"),
        ("for key 't_order_10.PRIMARY'", "for key 't_order.PRIMARY'"),
        ("my_t_order_1 t_order_1x t_order_1$", "my_t_order_1 t_order_1x t_order_1$"),
        ("`shop_1`.`t_user`", "`shop`.`t_user`"),
        ("Unknown column 'shop_1' in 'field list'", "Unknown column 'shop_1' in 'field list'"),
    ],
)
def test_actual_names_turn_back_into_logic_names(text: str, logic: str) -> None:
    assert logic_text(text, NAMES, "shop_1") == logic


def test_a_backslash_in_a_logic_name_is_no_escape() -> None:
    names = Names(r"a\1b", {"t_0": r"t\g<0>"})
    assert logic_text("s.t_0", names, "s") == r"a\1b.t\g<0>"


def test_number_and_state_of_a_shard_are_kept() -> None:
    error = logic_error(ShardError(1062, "23000", "Duplicate entry '1' for key 't_order_1.u'"), NAMES, "")
    packet = as_packet(error)
    assert (packet.number, packet.sqlstate) == (1062, "23000")
    assert packet.message == b"Duplicate entry '1' for key 't_order.u'"


def test_what_is_not_supported_and_what_is_our_fault() -> None:
    assert as_packet(not_supported("x", "y")).message == b"dbmesh: not supported: x; y"
    packet = as_packet(KeyError("secret"))
    assert (packet.number, packet.sqlstate) == (1105, "HY000")
    assert b"KeyError" in packet.message
    assert b"secret" not in packet.message
