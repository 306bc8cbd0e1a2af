"""Whether a lock wait that timed out may have been half of a deadlock over several data sources.

No server sees such a circle: each sees one of its waits. But where nobody waits for what a transaction has locked, it is in
none. Asks the data sources (manuals: INNODB_LOCK_WAITS of MariaDB, performance_schema.data_lock_waits of MySQL).
"""

from __future__ import annotations

from collections.abc import Iterable

from dbmesh.backend.connection import Product
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


async def may_be_deadlocked(branches: Iterable[Branch]) -> bool:
    """Whether anybody waits for locks of these branches, or nobody can tell. O(branches)."""
    for branch in branches:
        statement = _WAITING.get(branch.connection.product)
        if statement is None or not branch.connection.usable:
            return True
        try:
            answer = await collect(branch.connection, statement)
        except (MeshError, ShardError):
            # The account may not ask (PROCESS, and SELECT on performance_schema).
            return True
        if answer.rows[0][0] != b"0":
            return True
    return False
