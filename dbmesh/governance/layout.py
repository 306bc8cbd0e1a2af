"""Where things are in the store: one function per key, after ShardingSphere's layout (`/<ns>/metadata/<db>/rules/…`).

Decides keys only. A rule has versions; `active_version` says which of them holds.
"""

from __future__ import annotations

from urllib.parse import quote

ROOT = "/"
"""Everything there is."""


def database_prefix(database: str) -> str:
    """Everything of one logic database."""
    return f"/metadata/{database.lower()}/"


def made_tables_prefix(database: str) -> str:
    """The rules that CREATE TABLE made."""
    return f"{database_prefix(database)}rules/sharding/auto_tables/"


def made_table(database: str, table: str) -> str:
    """The folder of one such rule."""
    return f"{made_tables_prefix(database)}{table.lower()}"


def declared_keys_prefix(database: str) -> str:
    """The foreign keys that clients declared and no server has."""
    return f"{database_prefix(database)}foreign_keys/"


def declared_keys(database: str, table: str) -> str:
    """Those of one table."""
    return f"{declared_keys_prefix(database)}{table.lower()}"


def counter(database: str, table: str) -> str:
    """The next number of a table's AUTO_INCREMENT."""
    return f"{database_prefix(database)}counters/{table.lower()}"


def is_made(key: str) -> bool:
    """Whether it tells of what statements have made: databases, rules, declared foreign keys, or how far a statement is."""
    if key.startswith("/metadata/"):
        return key.split("/")[3:4] in (["rules"], ["foreign_keys"])
    return key.startswith((databases_prefix(), ddl_prefix()))


def ddl_prefix() -> str:
    """Statements that have begun and not ended."""
    return "/ddl/"


def ddl(record: str) -> str:
    """One such statement."""
    return f"{ddl_prefix()}{record}"


def migrations_prefix(database: str) -> str:
    """The migrations applied to a logic database, by file name."""
    return f"{database_prefix(database)}migrations/"


def migrating(database: str) -> str:
    """Who runs migrations of a logic database."""
    return f"{database_prefix(database)}migrating"


def encryption(database: str, verb: str, node: str) -> str:
    """How far an actual table (`data source.table`) is encrypted anew."""
    return f"{database_prefix(database)}encryption/{verb}/{node}"


def databases_prefix() -> str:
    """The logic databases that CREATE DATABASE made."""
    return "/databases/"


def database(name: str) -> str:
    """One such database."""
    return f"{databases_prefix()}{name.lower()}"


def instances_prefix() -> str:
    """The sidecars that are alive."""
    return "/nodes/compute_nodes/online/proxy/"


def instance(id_: str) -> str:
    """One of them."""
    return f"{instances_prefix()}{id_}"


def members_prefix() -> str:
    """The sidecars that may be serving, also while they cannot reach the store: by where they run."""
    return "/nodes/compute_nodes/members/"


def member(place: str) -> str:
    """One of them; its value is the sidecar's id."""
    return f"{members_prefix()}{place}"


def workers_prefix() -> str:
    """The numbers of SNOWFLAKE's workers that are taken."""
    return "/nodes/compute_nodes/worker_id/"


def worker(number: int) -> str:
    """One such number; its value is the sidecar's id."""
    return f"{workers_prefix()}{number:04}"


def locks_prefix() -> str:
    """The rows that BASE transactions have written and not ended yet."""
    return "/locks/"


def lock(key: str) -> str:
    """One such row; its value is who has written it."""
    return f"{locks_prefix()}{key}"


def breakers_prefix() -> str:
    """What somebody has decided about circuit breakers."""
    return "/protection/breakers/"


def breaker(name: str) -> str:
    """Such a decision about one of them: its value is the state it is to be in."""
    return f"{breakers_prefix()}{name.lower()}"


def reshard_chunks_prefix(job: str, table: str) -> str:
    """What of a table's rows a reshard job has copied, and who copies what."""
    return f"/reshard/jobs/{job}/chunks/{table.lower()}/"


def rules_prefix() -> str:
    """What is known of revisions of the rules, but for their files."""
    return "/rules/"


def revisions_prefix() -> str:
    """The revisions there were."""
    return f"{rules_prefix()}versions/"


def revision(number: int) -> str:
    """One of them: who applied it, and what became of it."""
    return f"{revisions_prefix()}{number}"


def active_revision() -> str:
    """The number of the one that holds."""
    return f"{rules_prefix()}active_version"


def rollout() -> str:
    """The number of the one that sidecars make ready."""
    return f"{rules_prefix()}rollout"


def holding() -> str:
    """The number of the one that is being rolled out, once sidecars are to hold for it."""
    return f"{rules_prefix()}holding"


def working() -> str:
    """The number of the one that is being rolled out, once what it takes is being done while sidecars hold."""
    return f"{rules_prefix()}working"


def worked() -> str:
    """Likewise, when it has been done."""
    return f"{rules_prefix()}worked"


def held_prefix(number: int) -> str:
    """The sidecars that hold for it."""
    return f"{rules_prefix()}held/{number}/"


def held(number: int, instance: str) -> str:
    """One of them."""
    return f"{held_prefix(number)}{instance}"


def acknowledgements_prefix(number: int) -> str:
    """What sidecars say of one that is being rolled out."""
    return f"{rules_prefix()}prepared/{number}/"


def acknowledgement(number: int, instance: str) -> str:
    """What one sidecar says: nothing when it is prepared, else why not."""
    return f"{acknowledgements_prefix(number)}{instance}"


def answered(key: str) -> int | None:
    """The revision about which a sidecar says something there, None where there is nothing of the kind."""
    what, *rest = key.removeprefix(rules_prefix()).split("/")
    return int(rest[0]) if what in ("prepared", "held") else None


def rule_files(number: int) -> str:
    """The files of a revision."""
    return f"/rule_files/{number}"


def nodes_prefix() -> str:
    """Sidecars, and what is out of service."""
    return "/nodes/"


def disabled_instances_prefix() -> str:
    """Sidecars that are out of service, by their ids."""
    return "/nodes/compute_nodes/status/"


def disabled_instance(id_: str) -> str:
    """One of them."""
    return f"{disabled_instances_prefix()}{id_}"


def disabled_sources_prefix() -> str:
    """Data sources and replicas that are out of service."""
    return "/nodes/qualified_data_sources/"


def disabled_source(name: str) -> str:
    """One of them, as database.name."""
    return f"{disabled_sources_prefix()}{name.lower()}"


def is_switch(key: str) -> bool:
    """Whether it says that something is out of service."""
    return key.startswith((disabled_instances_prefix(), disabled_sources_prefix()))


def requests_prefix(instance: str) -> str:
    """What others ask of a sidecar."""
    return f"/requests/{instance}/"


def request(instance: str, name: str) -> str:
    """One such question."""
    return f"{requests_prefix(instance)}{name}"


def answers_prefix(name: str) -> str:
    """The answers to a question."""
    return f"/answers/{name}/"


def answer(name: str, instance: str) -> str:
    """That of one sidecar."""
    return f"{answers_prefix(name)}{instance}"


def membership() -> str:
    """Changes whenever a sidecar joins."""
    return "/nodes/compute_nodes/membership"


def authority_prefix() -> str:
    """What SQL has made of accounts."""
    return "/authority/"


def accounts_version() -> str:
    """Changes with every account."""
    return "/authority/version"


def accounts_prefix() -> str:
    """The accounts and roles that SQL has made."""
    return "/authority/accounts/"


def account(name: str, host: str) -> str:
    """One of them."""
    return f"{accounts_prefix()}{quote(name, safe='')}@{quote(host, safe='')}"


def budget(limit: str, key: str) -> str:
    """What is left of a limit that holds for the whole mesh, for one user, database or data source."""
    return f"/protection/budgets/{limit}/{key}"


def faults_prefix() -> str:
    """Faults that somebody makes while the mesh runs."""
    return "/protection/faults/"


def fault(name: str) -> str:
    """One such fault."""
    return f"{faults_prefix()}{name}"


def reshard_prefix() -> str:
    """What moves rows to other data nodes."""
    return "/reshard/"


def reshard_jobs_prefix() -> str:
    """The jobs there were."""
    return f"{reshard_prefix()}documents/"


def reshard_job(number: int) -> str:
    """One of them."""
    return f"{reshard_jobs_prefix()}{number:06}"


def reshard_files(number: int) -> str:
    """The rules of both its sides."""
    return f"/reshard_files/{number:06}"


def reshard_progress(number: int) -> str:
    """How far it is."""
    return f"/reshard_progress/{number:06}"


def reshard_writes_prefix(number: int) -> str:
    """How much is written while it writes both sides, by each process."""
    return f"/reshard_writes/{number:06}/"


def reshard_writes(number: int, process: str) -> str:
    """What one of them has written."""
    return f"{reshard_writes_prefix(number)}{process}"


def reshard_bookmarks(number: int) -> str:
    """From where the binlogs of its sources are followed."""
    return f"/reshard_bookmarks/{number:06}"


def is_progress(key: str) -> bool:
    """Whether it only tells how far a reshard job is, which changes all the time while one runs."""
    return key.startswith(("/reshard_progress/", "/reshard_writes/", "/reshard_bookmarks/", "/reshard/jobs/"))


def reshard_runner() -> str:
    """The sidecar that carries jobs out: its id, as long as it lives."""
    return f"{reshard_prefix()}runner"
