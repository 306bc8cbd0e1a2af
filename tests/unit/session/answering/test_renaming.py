"""Values of metadata answers in logic names."""

from __future__ import annotations

from dbmesh.backend.connection import Product
from dbmesh.planner.plan import Names, RenameValues
from dbmesh.session.answering.renaming import RenamingSink
from dbmesh.session.answering.result_sink import ResultSink
from dbmesh.wire.values import decode_text_row, encode_text_row
from tests.plugins.canned import MODERN
from tests.plugins.scripted import RecordingClient, column


def test_only_the_named_columns_change() -> None:
    names = Names("shop", {"t_order_1": "t_order"})
    client = RecordingClient()
    behind = ResultSink(client, MODERN, names)
    sink = RenamingSink(behind, RenameValues((0,)), names, Product.MARIADB)
    sink.columns([column("Create Table"), column("Comment")])
    sink.rows([encode_text_row([b"CREATE TABLE `t_order_1` (", b"t_order_1"]), encode_text_row([None, b""])])
    behind.end_rows(2, 0)
    rows = [decode_text_row(payload) for _, payload in client.packets()[3:-1]]
    assert rows == [[b"CREATE TABLE `t_order` (", b"t_order_1"], [None, b""]]
