"""The stage of a reshard job whose data sources are two databases of PostgreSQL, of one server or of one each.

Decides how tables get there: made through a sidecar, filled behind its back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.chaos.reshard.stage import COLUMNS, GLOBAL, ROOT, RULES, ReshardStage, password_of_sources
from tests.plugins.etcd import EtcdMember
from tests.plugins.postgres import Postgres

_SOURCE = """\
  ds_{number}:
    url: 'postgresql://{host}:{port}/{schema}'
    username: {user}
    password: '${{env:MOVING_PASSWORD}}'
    maxPoolSize: 60
"""
ELSEWHERE = "ds_${owner % 2}"
"""Places rows on data sources by another column than `id`."""


class PostgresStage(ReshardStage):
    """See the module's docstring. `databases` are the servers of both databases; `by_source` is the expression that places rows on data
    sources by the rules after."""

    has_binlogs = False

    def __init__(
        self,
        member: EtcdMember,
        databases: Sequence[Postgres],
        directory: Path,
        lease: int,
        by_source: str,
    ) -> None:
        self.databases = databases
        self._by_source = by_source
        super().__init__(member, [], directory, 2, lease)

    def _write(self, directory: Path, shards: int, etcd: str) -> None:
        directory.mkdir(parents=True)
        (directory / "global.yaml").write_text(GLOBAL.format(etcd=etcd, root=ROOT, lease=self.lease))
        sources = "".join(
            _SOURCE.format(
                number=number, host=server.host, port=server.port, schema=f"moving_{number}", user=server.user
            )
            for number, server in enumerate(self.databases)
        )
        rules = RULES.format(last=shards - 1, count=shards)
        if directory.name == "after" and self._by_source:
            rules = rules.replace("ds_${id % 2}", self._by_source)
            rules = rules.replace("{standard: {shardingColumn: id,", "{standard: {shardingColumn: owner,")
        (directory / "database-shop.yaml").write_text(f"databaseName: shop\ndataSources:\n{sources}{rules}")

    def own(self, number: int, sql: str) -> list[str]:
        """What the database of a data source answers to a statement of its own, behind the mesh's back."""
        return self.databases[number].execute(sql, f"moving_{number}")

    def kill_server(self, number: int) -> None:
        """See `ReshardStage`."""
        self.databases[number].kill()

    def start_server(self, number: int) -> None:
        """See `ReshardStage`."""
        self.databases[number].start()

    def settled(self, moment: float) -> bool:
        """See `ReshardStage`: a row that a prepared transaction has inserted is there for nobody, and nobody waits for it."""
        asked = f"SELECT COUNT(*) FROM pg_prepared_xacts WHERE prepared <= to_timestamp({moment})"
        try:
            return all(server.execute(asked) == ["0"] for server in self.databases)
        except RuntimeError:
            # A server that is away does not say.
            return False

    def tables(self) -> list[set[str]]:
        """See `ReshardStage`."""
        listing = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        return [set(self.own(number, listing)) for number in (0, 1)]

    def rows(self, names: Sequence[str]) -> dict[int, tuple[int, int, str]]:
        """See `ReshardStage`."""
        found: dict[int, tuple[int, int, str]] = {}
        for number in (0, 1):
            for name in names:
                for line in self.own(number, f"SELECT id, owner, n, note FROM {name}"):
                    id_, owner, n, note = line.split("|", 3)
                    assert int(id_) not in found, f"{id_} is in {name} and elsewhere"
                    found[int(id_)] = int(owner), int(n), note
        return found


@contextmanager
def open_postgres_stage(
    servers: Sequence[Postgres],
    directory: Path,
    *,
    rows: int,
    made: Sequence[str] = (),
    lease: int = 4,
    by_source: str = "",
) -> Iterator[PostgresStage]:
    """Starts etcd and two sidecars, makes the old tables on two servers or on one and fills them; ends what it has started. `made`: PostgreSQL's
    own statements that make a table `{table}`, behind the mesh's back."""
    databases = [servers[0], servers[-1]]
    with ExitStack() as ending:
        ending.enter_context(password_of_sources(servers[0].password))
        for number, server in enumerate(databases):
            server.execute(f"DROP DATABASE IF EXISTS moving_{number}")
            server.execute(f"CREATE DATABASE moving_{number}")
            for statement in made:
                for table in ("item_0", "item_1"):
                    server.execute(statement.format(table=table), f"moving_{number}")
        member = EtcdMember("etcd", directory)
        member.start([member])
        ending.callback(member.stop)
        member.wait_ready()
        stage = PostgresStage(member, databases, directory, lease, by_source)
        for link in stage.links:
            ending.callback(link.stop)
        for mesh in stage.sidecars:
            ending.callback(lambda one=mesh: one.stop() if one.running else None)
        with ThreadPoolExecutor() as together:
            list(together.map(lambda mesh: mesh.start(60), stage.sidecars))
        if not made:
            with stage.connect(0) as connection, connection.cursor() as cursor:
                cursor.execute(f"CREATE TABLE item ({COLUMNS})")
        for number in (0, 1):
            for table in (0, 1):
                stage.own(
                    number,
                    f"INSERT INTO item_{table} (id, owner, n, note) SELECT id, id / 2 % 4, 0, 'old ' || id "
                    f"FROM generate_series(1, {rows}) AS id WHERE id % 2 = {number} AND id / 2 % 2 = {table}",
                )
        yield stage
