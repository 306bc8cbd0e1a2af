"""What describes one server: its replication and engines, and the tables of `mysql`, `performance_schema` and `sys`.

Decides that a data source answers where it is the only server behind the mesh. Everywhere else they are refused. Only administrators
may ask (`needs`), because nothing in these tables knows logic databases, accounts of the mesh or their grants.
"""

from __future__ import annotations

from dbmesh.errors import not_supported
from dbmesh.planner.context import PlanContext
from dbmesh.planner.plan import Relay, Verb
from dbmesh.planner.text_plan import TextPlan, TextShot, names_of

INFORMATION_SCHEMA = "information_schema"
SERVER_SCHEMAS = frozenset(("mysql", "performance_schema", "sys"))
"""System schemas whose tables are about the server, not about its schemas."""

REPLICATION = "replication belongs to each data source; ask it there"
DESCRIBES_ONE = "ask the data source itself; it describes one server"
OF_ACCOUNTS = "ask SHOW GRANTS or information_schema.USER_PRIVILEGES, which tell of the mesh's accounts"
_ACCOUNT_TABLES = frozenset(
    (
        "user",
        "global_priv",
        "db",
        "tables_priv",
        "columns_priv",
        "roles_mapping",
        "role_edges",
        "default_roles",
    )
)

SHOWN: tuple[tuple[str, str, str], ...] = (
    ("SLAVE", "SHOW SLAVE", REPLICATION),
    ("ALL", "SHOW ALL SLAVES STATUS", REPLICATION),
    ("REPLICA", "SHOW REPLICA", REPLICATION),
    ("REPLICAS", "SHOW REPLICAS", REPLICATION),
    ("MASTER", "SHOW MASTER", REPLICATION),
    ("BINARY", "SHOW BINARY LOGS", REPLICATION),
    ("BINLOG", "SHOW BINLOG", REPLICATION),
    ("RELAYLOG", "SHOW RELAYLOG", REPLICATION),
    ("ENGINE", "SHOW ENGINE", DESCRIBES_ONE),
)
"""SHOW statements about one server: the word behind SHOW, what they are called, and what to do instead."""


def instead_of(schema: str, table: str) -> str:
    """What to do instead of asking this table of a system schema."""
    return OF_ACCOUNTS if schema == "mysql" and table.lower() in _ACCOUNT_TABLES else DESCRIBES_ONE


def only_server(context: PlanContext) -> str | None:
    """A data source of the statement's database when every data source of every logic database is a schema of one server
    that has no replicas, else None."""
    rule_sets = (context.rule_set, *context.databases.values())
    configs = [config for rule_set in rule_sets for config in rule_set.data_sources.values()]
    servers = {(config.kind, config.host.lower(), config.port) for config in configs}
    if len(servers) > 1 or configs[0].kind != "mysql" or any(rule_set.groups for rule_set in rule_sets):
        return None
    return configs[0].name


def plan_of_server(context: PlanContext, what: str, instead: str = DESCRIBES_ONE) -> TextPlan:
    """The client's text for the only server. Raises MeshError(NOT_SUPPORTED) of `what` where there are several."""
    source = only_server(context)
    if source is None:
        raise not_supported(what, instead)
    shot = TextShot(source, context.edits().build().frame(()))
    names = names_of(context.rule_set, ())
    return TextPlan(
        Verb.SHOW,
        (INFORMATION_SCHEMA,),
        (shot,),
        Relay(),
        names,
        reads_only=True,
        opens_transaction=False,
    )
