"""Which servers are followed, and as whose data source."""

from __future__ import annotations

from dbmesh.model import DataNode
from dbmesh.reshard.binlogs.changes import FollowedTable
from dbmesh.reshard.binlogs.listening import sources_of
from dbmesh.rules.ruleset import DataSourceConfig
from dbmesh.wire.binlog_values import KeyColumn


def _table(
    source: str, table: str, port: int, *, new: bool = False
) -> tuple[DataSourceConfig, FollowedTable]:
    config = DataSourceConfig(source, "mysql", "127.0.0.1", port, "shop", "root")
    return config, FollowedTable(DataNode(source, table), 2, (KeyColumn(0),), "t", new)


def test_a_server_is_called_as_the_side_that_is_read_calls_it() -> None:
    followed = [
        _table("ds_0", "a", 1),
        # The new rules call the second server as the former ones call the first.
        _table("ds_0", "a", 2, new=True),
        _table("ds_1", "b", 2),
    ]
    sources = sources_of(followed)
    assert [(one.config.name, one.config.port, len(one.tables)) for one in sources] == [
        ("ds_0", 1, 1),
        ("ds_1", 2, 2),
    ]


def test_a_server_that_has_new_tables_alone_is_not_followed() -> None:
    assert [one.config.port for one in sources_of([_table("a", "t", 1), _table("b", "t", 2, new=True)])] == [
        1
    ]
