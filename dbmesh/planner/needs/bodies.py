"""What making a trigger, routine or event needs: servers run its body with the rights of the data source's account.

Decides from the words of the text, wherever they stand: no parser of the mesh follows a body as every server does, and a name in a
string or comment too many denies rather than grants. Knows no accounts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dbmesh.planner.context import PlanContext
from dbmesh.planner.needs.need import Need
from dbmesh.rules.privileges import Privilege
from dbmesh.rules.ruleset import RuleSet

_GAP = r"(?:\s|/\*.*?\*/|--[^\n]*\n|#[^\n]*\n)+"
_OUTSIDE = re.compile(
    r"/\*M?!"
    r"|(?<![\w$])(?:prepare|execute|load_file|outfile|dumpfile|infile|mysql|performance_schema|sys|processlist|innodb_\w+"
    r"|soname|binlog"
    r"|global|persist|persist_only|grant|revoke|kill|flush|shutdown|restart|install|uninstall|purge"
    rf"|(?:create|alter|drop|rename|replace){_GAP}(?:user|role|server|database|schema|instance)"
    rf"|set{_GAP}password|show{_GAP}(?:engine|grants)"
    rf"|(?:change|start|stop|reset){_GAP}(?:master|slave|all|replication|replica|group_replication)"
    r")(?![\w$])",
    re.IGNORECASE | re.DOTALL,
)
"""What reaches beyond the schemas of logic databases, or hides in texts what it reaches."""


def body_needs(context: PlanContext, database: str, text: str) -> Iterator[Need]:
    """Every privilege on the database (in lower case) and on each other logic database whose name, or whose schemas', the text
    has; SUPER for what is the servers' own."""
    yield Need(Privilege.SELECT, database, whole=True)
    own = context.databases.get(database, context.rule_set)
    mine = _schemas(own)
    for name, rule_set in context.databases.items():
        names = {name} | (_schemas(rule_set) - mine)
        if name != database and any(_has_word(text, one) for one in names):
            yield Need(Privilege.SELECT, name, whole=True)
    if _OUTSIDE.search(text):
        yield Need(Privilege.SUPER)


def _schemas(rule_set: RuleSet) -> set[str]:
    return {config.database.lower() for config in rule_set.data_sources.values() if config.database}


def _has_word(text: str, word: str) -> bool:
    return re.search(rf"(?<![\w$]){re.escape(word)}(?![\w$])", text, re.IGNORECASE) is not None
