"""What is not supported is refused before it runs: error 1235, a sentence that says what to do, no row touched."""

from __future__ import annotations

import pytest

from tests.plugins.equivalence import ask
from tests.plugins.fix_mesh import Shop
from tests.plugins.raw_client import Failure, RawClient

pytestmark = pytest.mark.integration

REFUSED = [
    "SELECT order_id FROM t_order INTO OUTFILE 'x'",
    "SELECT GET_LOCK('a', 1), COUNT(*) + 1 FROM t_order",
    "LOAD DATA INFILE 'x' INTO TABLE t_order",
    "LOCK TABLES t_order WRITE",
    "CREATE TRIGGER x BEFORE INSERT ON t_order FOR EACH ROW DELETE FROM t_user",
    "GRANT ALL ON *.* TO x",
    "CREATE TEMPORARY TABLE t_order (id INT)",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_is_refused_and_the_session_lives_on(shop: Shop, statement: str) -> None:
    if not shop.meshed:
        pytest.skip("one server refuses nothing of this")
    with shop.target.connect() as connection:
        answer = ask(connection, statement)
        assert answer.error == 1235, f"{answer}"
        assert answer.text.startswith("dbmesh: not supported: "), answer.text
        assert ";" in answer.text, "the sentence says what to do instead"
        assert ask(connection, "SELECT COUNT(*) FROM t_order").rows == ((240,),)


def test_a_refusal_has_the_state_that_drivers_read(shop: Shop) -> None:
    if not shop.meshed:
        pytest.skip("one server refuses nothing of this")
    with RawClient(shop.target.host, shop.target.port) as client:
        client.log_in(shop.target.user, shop.target.password)
        reply = client.query(REFUSED[0])
    assert isinstance(reply, Failure)
    assert (reply.number, reply.sqlstate) == (1235, "42000")
