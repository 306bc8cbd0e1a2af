"""XA statements of a transaction manager above the mesh: one branch is one data source's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.plugins.equivalence import ask
from tests.plugins.fix_mesh import Shop
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration

XID = "'order-1','branch',7"
RENAME = "UPDATE t_user SET name = 'xa' WHERE user_id = 4"
NAME = "SELECT name FROM t_user WHERE user_id = 4"


@pytest.fixture(autouse=True)
def nothing_prepared(fresh_shop: Shop) -> Iterator[None]:
    """No test leaves a prepared branch."""
    yield
    for server in fresh_shop.sources:
        assert server.execute("XA RECOVER") == []


def prepare(shop: Shop, statement: str = RENAME) -> None:
    """A session that prepares a branch and goes."""
    with shop.target.connect() as client:
        for one in (f"XA START {XID}", statement, f"XA END {XID}", f"XA PREPARE {XID}"):
            assert ask(client, one).error is None, one


def test_a_branch_is_prepared_and_committed(fresh_shop: Shop) -> None:
    with fresh_shop.target.connect() as client, fresh_shop.target.connect() as other:
        before = ask(other, NAME).rows
        for statement in (f"XA START {XID}", RENAME, f"XA END {XID}", f"XA PREPARE {XID}"):
            assert ask(client, statement).error is None, statement
        assert ask(other, NAME).rows == before
        assert [row[:3] for row in ask(other, "XA RECOVER").rows] == [(7, 7, 6)]
        assert ask(client, f"XA COMMIT {XID}").error is None
        assert ask(client, NAME).rows == (("xa",),)
        assert ask(client, "BEGIN").error is None, "the session is free again"


def test_one_phase_and_rollback(fresh_shop: Shop) -> None:
    with fresh_shop.target.connect() as client:
        before = ask(client, NAME).rows
        for statement in ("XA BEGIN 'a'", RENAME, "XA END 'a'", "XA ROLLBACK 'a'"):
            assert ask(client, statement).error is None, statement
        assert ask(client, NAME).rows == before
        for statement in ("XA START X'61'", RENAME, "XA END 'a'", "XA COMMIT 'a' ONE PHASE"):
            assert ask(client, statement).error is None, statement
        assert ask(client, NAME).rows == (("xa",),)


@pytest.mark.parametrize(("verb", "name"), [("COMMIT", "xa"), ("ROLLBACK", None)])
def test_another_session_ends_what_is_prepared(fresh_shop: Shop, verb: str, name: str | None) -> None:
    with fresh_shop.target.connect() as client:
        before = ask(client, NAME).rows
        prepare(fresh_shop)
        # A server knows the branch as prepared, and as nobody's, once it has noticed that its session is gone.
        wait_until(lambda: ask(client, f"XA {verb} {XID}").error is None, 20, f"XA {verb}", interval=0.1)
        assert ask(client, NAME).rows == (before if name is None else ((name,),))


def test_a_branch_that_touched_nothing_can_be_prepared(fresh_shop: Shop) -> None:
    prepare(fresh_shop, "DO 1")
    with fresh_shop.target.connect() as client:
        # MariaDB forgets an empty branch with its connection (1402 says that it is rolled back).
        assert ask(client, f"XA ROLLBACK {XID}").error in (None, 1397, 1402)


def test_a_second_data_source_is_refused_and_the_branch_goes_on(fresh_shop: Shop) -> None:
    with fresh_shop.target.connect() as client:
        ask(client, f"XA START {XID}")
        assert ask(client, RENAME).error is None
        refused = ask(client, "UPDATE t_user SET name = 'xa' WHERE user_id = 5")
        assert refused.error == 1235
        assert "outer transaction manager" in refused.text
        for statement in (f"XA END {XID}", f"XA COMMIT {XID} ONE PHASE"):
            assert ask(client, statement).error is None, statement
        assert ask(client, NAME).rows == (("xa",),)


def test_states_are_kept_apart(fresh_shop: Shop) -> None:
    with fresh_shop.target.connect() as client:
        assert ask(client, "XA COMMIT 'nobody'").error == 1397
        assert ask(client, "XA START ''").error == 1398
        assert ask(client, "XA START 'a' JOIN").error == 1235
        ask(client, "BEGIN")
        ask(client, RENAME)
        assert ask(client, "XA START 'a'").error == 1400
        ask(client, "ROLLBACK")
        assert ask(client, "XA START 'a'").error is None
        for statement in (
            "COMMIT",
            "ROLLBACK",
            "BEGIN",
            "XA START 'b'",
            "ALTER TABLE t_user ADD INDEX never (name)",
        ):
            assert ask(client, statement).error == 1399, statement
        assert ask(client, "XA END 'b'").error == 1397
        for statement in ("XA END 'a'", "XA ROLLBACK 'a'"):
            assert ask(client, statement).error is None, statement


def test_a_client_that_goes_in_the_middle_leaves_nothing(fresh_shop: Shop) -> None:
    with fresh_shop.target.connect() as client:
        before = ask(client, NAME).rows
        with fresh_shop.target.connect() as gone:
            ask(gone, f"XA START {XID}")
            ask(gone, RENAME)
        assert ask(client, "SELECT name FROM t_user WHERE user_id = 4 FOR UPDATE").rows == before
