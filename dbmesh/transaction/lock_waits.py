"""Whether a lock wait that timed out may have been half of a deadlock over several data sources.

No server sees such a circle: each sees one of its waits. But where nobody waits for what a transaction has locked, it is in
none. Asks the data sources (manuals: INNODB_LOCK_WAITS of MariaDB, performance_schema.data_lock_waits of MySQL, pg_blocking_pids of
PostgreSQL).
"""

from __future__ import annotations

from collections.abc import Iterable

from dbmesh.backend.connection import Connection, OwnDialect, Product
from dbmesh.engine.collect import collect
from dbmesh.errors import MeshError, ShardError
from dbmesh.transaction.coordinator import Branch

_WAITING = {
    Product.MARIADB: b"SELECT COUNT(*) FROM information_schema.innodb_lock_waits AS w "
    b"JOIN information_schema.innodb_trx AS t ON t.trx_id = w.blocking_trx_id WHERE t.trx_mysql_thread_id = CONNECTION_ID()",
    # Without the performance schema it is only known whether anybody waits there.
    Product.MYSQL: b"SELECT IF(@@performance_schema, (SELECT COUNT(*) FROM performance_schema.data_lock_waits AS w "
    b"JOIN information_schema.innodb_trx AS t ON t.trx_id = w.blocking_engine_transaction_id "
    b"WHERE t.trx_mysql_thread_id = CONNECTION_ID()), "
    b"(SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'))",
}
_WAITING_IN_POSTGRES = "SELECT count(*) FROM pg_locks AS l WHERE NOT l.granted AND pg_backend_pid() = ANY (pg_blocking_pids(l.pid))"


async def may_be_deadlocked(branches: Iterable[Branch]) -> bool:
    """Whether anybody waits for locks of these branches, or nobody can tell. O(branches)."""
    for branch in branches:
        if not branch.connection.usable:
            return True
        try:
            if await _waits(branch.connection):
                return True
        except (MeshError, ShardError):
            # The account may not ask (PROCESS, and SELECT on performance_schema).
            return True
    return False


async def _waits(connection: Connection) -> bool:
    """Whether anybody waits for locks of the transaction on a connection, or it cannot be asked. Raises MeshError and ShardError."""
    if isinstance(connection, OwnDialect):
        ((count,),) = await connection.own(_WAITING_IN_POSTGRES)
        return bool(count)
    statement = _WAITING.get(connection.product)
    return statement is None or (await collect(connection, statement)).rows[0][0] != b"0"
