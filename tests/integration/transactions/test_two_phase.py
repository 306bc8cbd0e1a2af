"""A commit over two data sources is one commit: whatever dies, whatever is left prepared, it ends as its decider says."""

from __future__ import annotations

import json
import subprocess
import sys
from threading import Thread
from typing import Any

import pymysql
import pytest

from dbmesh.transaction.decisions import MAKE_TABLE, record
from dbmesh.transaction.xid import Place, Xid
from tests.plugins import shop as shop_data
from tests.plugins.database_server import RENEWED, DatabaseServer
from tests.plugins.equivalence import Answer, ask
from tests.plugins.fix_mesh import MeshFactory, Shop, ShopFactory
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration

BOTH = "INSERT INTO t_auto VALUES (4, 'a', 1), (5, 'b', 1)"
GTRID = "0123456789abcdef-1"


def _prepared(shop: Shop) -> list[bytes]:
    return [row[3] for server in shop.sources for row in server.execute("XA RECOVER")]


def _decisions(shop: Shop) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for number, server in enumerate(shop.sources):
        schema = shop_data.shard_schema(number)
        if server.execute(f"SHOW TABLES FROM {schema} LIKE 'dbmesh_txn'"):
            rows += server.execute(f"SELECT gtrid, committed FROM {schema}.dbmesh_txn")
    return rows


def _place(shop: Shop, number: int) -> Place:
    port = shop.links[number].port if shop.links else shop.sources[number].port
    return Place(shop.sources[number].host, port, shop_data.shard_schema(number))


def _command(shop: Shop, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from dbmesh.cli.main import main; main()"
    command = [
        sys.executable,
        "-c",
        code,
        "transactions",
        *arguments,
        "--config",
        str(shop.mesh.configuration),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


class _HeldCommit:
    """A client's COMMIT of rows on both data sources, held where one branch is prepared and the decision is not yet
    there: another session's lock keeps its row from being written."""

    def __init__(self, shop: Shop, client: pymysql.Connection[Any]) -> None:
        ask(client, BOTH)
        for statement in ("BEGIN", "UPDATE t_auto SET n = 2 WHERE id IN (4, 5)"):
            assert ask(client, statement).error is None
        self._holder = shop.sources[0].connect(shop_data.shard_schema(0), autocommit=False)
        with self._holder.cursor() as cursor:
            cursor.execute("SELECT * FROM dbmesh_txn WHERE gtrid > '' FOR UPDATE")
        self._answers: list[Answer] = []
        self._committing = Thread(target=lambda: self._answers.append(ask(client, "COMMIT")))
        self._committing.start()
        wait_until(lambda: _prepared(shop), 10, "the other branch to be prepared")

    def release(self) -> None:
        """Lets the decision's row be written."""
        self._holder.close()

    def answer(self) -> Answer:
        """What COMMIT said."""
        self._committing.join()
        return self._answers[0]


def _leave_prepared(shop: Shop, *, decided: bool | None, gtrid: str = GTRID, row: int = 5) -> None:
    """What a sidecar leaves that dies in a commit which began on ds_0: its branch on ds_1, which wrote a row, and in
    `decided` the row of its decision."""
    deciding, other = shop.sources
    if decided is not None:
        statement = record(shop_data.shard_schema(0), gtrid, [_place(shop, 1).sign])
        deciding.execute(
            MAKE_TABLE,
            statement if decided else statement.replace(", 1, ", ", 0, "),
            database=shop_data.shard_schema(0),
        )
    xid = Xid(gtrid, _place(shop, 0).sign, _place(shop, 1).sign).sql
    other.execute(
        f"XA START {xid}",
        f"INSERT INTO t_auto_1 VALUES ({row}, 'left', 1)",
        f"XA END {xid}",
        f"XA PREPARE {xid}",
        database=shop_data.shard_schema(1),
    )


def _rows(shop: Shop) -> list[int]:
    return sorted(row[0] for _, row in shop.on_shards("t_auto"))


def test_a_commit_over_two_data_sources_leaves_no_trace(fresh_shop: Shop) -> None:
    with fresh_shop.target.connect() as client:
        for statements in ([BOTH], ["BEGIN", "UPDATE t_auto SET n = 2 WHERE id IN (4, 5)", "COMMIT"]):
            for statement in statements:
                answer = ask(client, statement)
                assert (answer.error, answer.warnings) == (None, 0)
        tables = ask(client, "SHOW TABLES").rows
        assert "dbmesh_txn" not in {name for (name,) in tables}
        assert ask(client, "SELECT * FROM dbmesh_txn").error == 1146
    assert _prepared(fresh_shop) == []
    wait_until(lambda: not _decisions(fresh_shop), 10, "the decisions to be forgotten")


def test_one_data_source_is_committed_without_xa(fresh_shop: Shop) -> None:
    before = [server.status("Com_xa_start") for server in fresh_shop.sources]
    with fresh_shop.target.connect() as client:
        for statement in (
            "BEGIN",
            "INSERT INTO t_auto VALUES (4, 'a', 1)",
            "DELETE FROM t_auto WHERE id = 4",
            "COMMIT",
        ):
            assert ask(client, statement).error is None
    assert [server.status("Com_xa_start") for server in fresh_shop.sources] == before


def test_a_running_mesh_ends_what_was_left_prepared(own_shop: ShopFactory) -> None:
    shop = own_shop()
    _leave_prepared(shop, decided=True)
    _leave_prepared(shop, decided=False, gtrid="0123456789abcdef-2", row=9)
    _leave_prepared(shop, decided=None, gtrid="0123456789abcdef-3", row=13)
    wait_until(lambda: not _prepared(shop), 30, "the branches to be ended")
    assert _rows(shop) == [5]
    # Whoever wrote this row wins over a coordinator that comes back from the dead.
    assert (b"0123456789abcdef-3", 0) in _decisions(shop)


def test_the_commands_list_and_resolve(own_shop: ShopFactory) -> None:
    shop = own_shop(start=False)
    _leave_prepared(shop, decided=True)
    foreign = "'another','manager',1"
    shop.sources[0].execute(
        f"XA START {foreign}",
        "INSERT INTO t_auto_0 VALUES (4, 'x', 1)",
        f"XA END {foreign}",
        f"XA PREPARE {foreign}",
        database=shop_data.shard_schema(0),
    )
    found = json.loads(_command(shop, "list", "--json").stdout)
    assert found == {
        "in_doubt": [
            {
                "transaction": GTRID,
                "prepared_on": str(_place(shop, 1)),
                "decided_on": str(_place(shop, 0)),
            }
        ],
        "foreign": 1,
        "unreachable": {},
        "left": [],
    }
    shop.links[0].refuse()
    refused = _command(shop, "resolve", "--older-than", "0")
    assert refused.returncode == 1
    assert "1 prepared branch could not be ended" in refused.stderr
    shop.links[0].restore()
    resolved = _command(shop, "resolve", "--older-than", "0")
    assert resolved.returncode == 0, resolved.stderr
    assert f"{GTRID} on {_place(shop, 1)}: committed" in resolved.stdout
    assert _rows(shop) == [5]
    assert len(_prepared(shop)) == 1, "another manager's branch is never touched"
    assert "1 prepared branch of other managers" in _command(shop, "list").stdout
    shop.sources[0].execute(f"XA ROLLBACK {foreign}")


def test_a_data_source_that_dies_before_the_decision_rolls_back_all(own_shop: ShopFactory) -> None:
    shop = own_shop()
    with shop.target.connect() as client:
        for statement in ("BEGIN", BOTH):
            assert ask(client, statement).error is None
        shop.sources[1].kill()
        assert ask(client, "COMMIT").error is not None
        shop.sources[1].start()
        shop.sources[1].wait_ready()
        assert ask(client, "SELECT COUNT(*) FROM t_auto").rows == ((0,),)
    assert _prepared(shop) == []


def test_a_decider_that_cannot_be_asked_leaves_an_unknown_that_is_settled(own_shop: ShopFactory) -> None:
    shop = own_shop()
    with shop.target.connect() as client:
        committing = _HeldCommit(shop, client)
        shop.links[0].refuse()
        shop.links[0].cut()
        assert committing.answer().error is not None
        committing.release()
        shop.links[0].restore()
    wait_until(lambda: not _prepared(shop), 30, "the branch to be ended")
    assert {row[2] for _, row in shop.on_shards("t_auto")} == {1}


@pytest.mark.parametrize("dies", ["its link", "its server"])
def test_a_data_source_that_dies_after_the_decision_follows(own_shop: ShopFactory, dies: str) -> None:
    """It is told by the process that has decided, before any finds the branch left alone."""
    shop = own_shop()
    with shop.target.connect() as client:
        committing = _HeldCommit(shop, client)
        if dies == "its link":
            shop.links[1].refuse()
            shop.links[1].cut()
        else:
            shop.sources[1].kill()
        committing.release()
        answer = committing.answer()
        assert (answer.error, answer.warnings) == (None, 1)
        assert "shop.ds_1 could not be told yet" in str(ask(client, "SHOW WARNINGS").rows)
        if dies == "its link":
            shop.links[1].restore()
        else:
            shop.sources[1].start()
            shop.sources[1].wait_ready()
        wait_until(lambda: not _prepared(shop), 30, "the branch to be ended")
        assert ask(client, "SELECT n FROM t_auto").rows == ((2,), (2,))
    assert "was left prepared" not in shop.mesh.output()


def test_a_hint_says_how_one_statement_or_one_transaction_commits(fresh_shop: Shop) -> None:
    hint = "/* DBMESH_HINT: TRANSACTION_TYPE=LOCAL */"
    write = "UPDATE t_user SET name = 'hinted' WHERE user_id IN (4, 5)"
    with fresh_shop.target.connect() as client:
        assert ask(client, f"{hint} {write}").warnings == 1, "committed one after another, and says so"
        assert ask(client, write).warnings == 0
        ask(client, f"{hint} BEGIN")
        ask(client, write.replace("hinted", "again"))
        assert ask(client, "COMMIT").warnings == 1
        ask(client, "BEGIN")
        ask(client, write)
        assert ask(client, "COMMIT").warnings == 0
        for statement in (write.replace("hinted", "never"), "BEGIN"):
            assert ask(client, f"/* DBMESH_HINT: TRANSACTION_TYPE=BEST */ {statement}").error == 1231
        assert ask(client, "SELECT name FROM t_user WHERE user_id = 4").rows == (("hinted",),)


def test_a_circle_of_locks_over_two_data_sources_ends_one_transaction_as_a_deadlock(fresh_shop: Shop) -> None:
    _run_into_a_circle(fresh_shop)


def _run_into_a_circle(shop: Shop) -> None:
    with shop.target.connect() as one, shop.target.connect() as other:
        for client, first in ((one, 4), (other, 5)):
            ask(client, "SET innodb_lock_wait_timeout = 1")
            ask(client, "BEGIN")
            ask(client, f"UPDATE t_user SET name = 'first' WHERE user_id = {first}")
        ask(other, "SET innodb_lock_wait_timeout = 20")
        waiting = Thread(target=lambda: ask(other, "UPDATE t_user SET name = 'second' WHERE user_id = 4"))
        waiting.start()
        wait_until(lambda: _lock_waits(shop.sources[0]) == 1, 20, "the other waits", RENEWED)
        assert ask(one, "UPDATE t_user SET name = 'second' WHERE user_id = 5").error == 1213
        waiting.join()
        assert ask(other, "COMMIT").error is None
        rows = ask(one, "SELECT name FROM t_user WHERE user_id IN (4, 5) ORDER BY user_id").rows
        assert rows == (("second",), ("first",))


def test_a_lock_wait_that_holds_up_nobody_ends_the_statement_alone(fresh_shop: Shop) -> None:
    _wait_and_hold_up_nobody(fresh_shop)


def test_where_servers_tell_who_waits_for_whom_a_wait_of_others_is_no_circle(own_shop: ShopFactory) -> None:
    shop = own_shop(options=("--performance-schema=ON",))
    _run_into_a_circle(shop)
    with shop.target.connect() as holder, shop.target.connect() as waiting:
        ask(holder, "BEGIN")
        ask(holder, "UPDATE t_user SET name = 'held' WHERE user_id = 6")
        ask(waiting, "SET innodb_lock_wait_timeout = 60")
        held_up = Thread(target=lambda: ask(waiting, "UPDATE t_user SET name = 'late' WHERE user_id = 6"))
        held_up.start()
        wait_until(lambda: _lock_waits(shop.sources[0]) == 1, 20, "somebody waits for somebody else", RENEWED)
        _wait_and_hold_up_nobody(shop)
        ask(holder, "COMMIT")
        held_up.join()
        assert ask(waiting, "SELECT name FROM t_user WHERE user_id = 6").rows == (("late",),)


def _wait_and_hold_up_nobody(shop: Shop) -> None:
    with shop.target.connect() as one, shop.target.connect() as other:
        ask(other, "BEGIN")
        ask(other, "UPDATE t_user SET name = 'other' WHERE user_id = 5")
        ask(one, "SET innodb_lock_wait_timeout = 1")
        ask(one, "BEGIN")
        ask(one, "UPDATE t_user SET name = 'one' WHERE user_id IN (4, 7)")
        for statement in (
            "UPDATE t_user SET name = 'one' WHERE user_id = 5",
            "UPDATE t_user SET name = 'one' WHERE user_id IN (5, 8)",
            "SELECT name FROM t_user WHERE user_id = 5 FOR UPDATE",
        ):
            assert ask(one, statement).error == 1205, statement
        ask(other, "ROLLBACK")
        assert ask(one, "COMMIT").error is None
        rows = ask(one, "SELECT user_id FROM t_user WHERE name = 'one' ORDER BY user_id").rows
        assert rows == ((4,), (7,))


def test_without_the_privilege_nothing_is_committed_and_the_way_out_is_told(
    fresh_shop: Shop, mesh_with: MeshFactory
) -> None:
    server = fresh_shop.sources[0]
    schema = shop_data.shard_schema(0)
    server.execute(
        "DROP USER IF EXISTS poor@'%'",
        "CREATE USER poor@'%' IDENTIFIED BY 'poor'",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.* TO poor@'%'",
        f"DROP TABLE IF EXISTS {schema}.dbmesh_txn",
    )
    mesh = mesh_with(start=False)
    file = mesh.configuration / "database-shop.yaml"
    text = file.read_text()
    head, tail = text.split("ds_1:", 1)
    file.write_text(
        head.replace(f"username: {server.user}", "username: poor").replace(
            f"password: {server.password}", "password: poor"
        )
        + "ds_1:"
        + tail
    )
    mesh.start()
    with mesh.connect() as client:
        answer = ask(client, BOTH)
        assert answer.error == 1105
        assert "cannot keep decisions in table dbmesh_txn" in answer.text
        assert "transaction.defaultType: LOCAL" in answer.text
        assert ask(client, "SELECT COUNT(*) FROM t_auto").rows == ((0,),)
        ask(client, "SET dbmesh_transaction_type = 'LOCAL'")
        assert ask(client, BOTH).error is None
    server.execute(MAKE_TABLE, database=schema)


def test_the_type_of_a_sessions_transactions_is_a_variable_that_can_be_read(fresh_shop: Shop) -> None:
    with fresh_shop.target.connect() as client:
        for kind in ("XA", "LOCAL"):
            assert ask(client, f"SET dbmesh_transaction_type = '{kind}'").error is None
            ask(
                client,
                "/* DBMESH_HINT: TRANSACTION_TYPE=XA */ UPDATE t_user SET name = 'x' WHERE user_id IN (4, 5)",
            )
            answer = ask(client, "SELECT @@dbmesh_transaction_type, @@session.dbmesh_transaction_type AS t")
            assert (answer.rows, [column.name for column in answer.columns]) == (
                ((kind, kind),),
                ["@@dbmesh_transaction_type", "t"],
            )
            for shown in (
                "LIKE 'dbmesh%'",
                "WHERE Variable_name = 'dbmesh_transaction_type'",
                f"WHERE Value = '{kind}'",
            ):
                assert ask(client, f"SHOW VARIABLES {shown}").rows == (("dbmesh_transaction_type", kind),)
        names = [str(row[0]) for row in ask(client, "SHOW SESSION VARIABLES").rows]
        assert names.count("dbmesh_transaction_type") == 1
        before = names[: names.index("dbmesh_transaction_type") + 2]
        assert before == sorted(before)
        assert len(ask(client, "SHOW VARIABLES WHERE Variable_name LIKE 'd%' AND Value > 'a'").rows) > 0
        assert ask(client, "SHOW GLOBAL VARIABLES LIKE 'dbmesh%'").rows == ()


def test_a_transaction_keeps_the_type_it_began_with(fresh_shop: Shop) -> None:
    with fresh_shop.target.connect() as client:
        for statement in ("BEGIN", BOTH):
            ask(client, statement)
        assert ask(client, "SET dbmesh_transaction_type = LOCAL").error == 1568
        assert ask(client, "ROLLBACK").error is None
        assert ask(client, "SET dbmesh_transaction_type = 'nothing'").error == 1231
        assert ask(client, "SET dbmesh_transaction_type = DEFAULT").error is None
        assert ask(client, "SET STATEMENT dbmesh_transaction_type = 'LOCAL' FOR SELECT 1").error == 1235


def test_a_client_that_leaves_leaves_nothing_prepared(fresh_shop: Shop) -> None:
    with fresh_shop.target.connect() as client:
        for statement in ("BEGIN", BOTH):
            assert ask(client, statement).error is None
    wait_until(lambda: _rows(fresh_shop) == [], 10, "the rollback")
    assert _prepared(fresh_shop) == []


def test_a_dropped_table_of_decisions_is_made_again(fresh_shop: Shop) -> None:
    with fresh_shop.target.connect() as client:
        assert ask(client, BOTH).error is None
        fresh_shop.sources[0].execute(f"DROP TABLE {shop_data.shard_schema(0)}.dbmesh_txn")
        answers = [ask(client, "UPDATE t_auto SET n = n + 1").error for _ in range(2)]
        assert answers == [1146, None]
        assert ask(client, "SELECT n FROM t_auto").rows == ((2,), (2,))


def test_rows_that_must_stay_do_not_keep_others_from_going(fresh_shop: Shop) -> None:
    schema = shop_data.shard_schema(0)
    aborted = ", ".join(f"('0-{number}', 0, '', UNIX_TIMESTAMP() - 100)" for number in range(1001))
    fresh_shop.sources[0].execute(
        MAKE_TABLE,
        f"INSERT INTO dbmesh_txn VALUES {aborted}, ('1-0', 1, '{_place(fresh_shop, 1).sign}', UNIX_TIMESTAMP() - 100)",
        database=schema,
    )
    wait_until(lambda: len(_decisions(fresh_shop)) == 1001, 20, "the row of the commit to go")
    fresh_shop.sources[0].execute(f"DELETE FROM {schema}.dbmesh_txn")


def test_a_consistent_snapshot_is_that_of_its_beginning_everywhere(fresh_shop: Shop) -> None:
    with fresh_shop.target.connect() as reader, fresh_shop.target.connect() as writer:
        assert ask(reader, "START TRANSACTION WITH CONSISTENT SNAPSHOT").error is None
        assert ask(writer, BOTH).error is None
        assert ask(reader, "SELECT id FROM t_auto").rows == ()
        assert ask(reader, "COMMIT").error is None
        assert ask(reader, "SELECT id FROM t_auto ORDER BY id").rows == ((4,), (5,))


def _lock_waits(server: DatabaseServer) -> Any:
    (row,) = server.execute(
        "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
    )
    return row[0]
