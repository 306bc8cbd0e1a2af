"""Two open sessions per test: one on the mesh, one on the server that holds all rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pymysql
import pytest

from tests.plugins.equivalence import Answer, ask, assert_equal_answers
from tests.plugins.fix_mesh import Shop


class Twins:
    """The same session twice."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.mesh: pymysql.Connection[Any] = shop.target.connect()
        self.plain: pymysql.Connection[Any] = shop.plain.connect()

    def same(self, statement: str, arguments: Any = None) -> Answer:
        """Runs the statement on both and insists on equal answers; returns the mesh's."""
        mesh, plain = ask(self.mesh, statement, arguments), ask(self.plain, statement, arguments)
        assert_equal_answers(mesh, plain, statement)
        return mesh

    def same_rows_stored(self, *tables: str) -> None:
        """What lies on the shards, read directly, is what lies on the one server."""
        for table in tables:
            stored = sorted({repr(row) for _node, row in self.shop.on_shards(table)})
            expected = sorted(
                repr(row) for row in self.shop.plain_server.execute(f"SELECT * FROM shop.{table}")
            )
            assert stored == expected, table

    def close(self) -> None:
        """Ends both sessions."""
        self.mesh.close()
        self.plain.close()


@pytest.fixture
def twins(shop: Shop) -> Iterator[Twins]:
    """Both sessions, for statements that change no row."""
    made = Twins(shop)
    yield made
    made.close()


@pytest.fixture
def writing_twins(fresh_shop: Shop) -> Iterator[Twins]:
    """Both sessions, for statements that write; rows are put back afterwards."""
    made = Twins(fresh_shop)
    yield made
    made.close()
