"""Looks at a PostgreSQL data source of a reshard job.

Decides what is asked of its catalog. What the answers mean for a job, `postgres_obstacles` decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from dbmesh.backend.connection import OwnDialect
from dbmesh.model import TableSchema
from dbmesh.reshard.planning.facts import Hindrance, HindranceKind, PostgresFacts, ServerFacts, TableFacts

_SERVER = """SELECT current_setting('server_version'), current_setting('max_prepared_transactions')::int,
 has_schema_privilege(current_schema(), 'CREATE'),
 (SELECT max(extract(epoch FROM now() - began))::int FROM (
   SELECT xact_start AS began FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
   UNION ALL SELECT prepared FROM pg_prepared_xacts WHERE database = current_database()) AS open)"""
_TABLES = """SELECT relname::text, greatest(reltuples, 0)::bigint, pg_total_relation_size(oid)::bigint FROM pg_class
 WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')"""
_TRIGGERS = """SELECT c.relname::text, t.tgname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE c.relnamespace = current_schema()::regnamespace AND NOT t.tgisinternal ORDER BY 2"""
_REFERENCES = """SELECT c.relname::text, k.conname::text FROM pg_constraint k JOIN pg_class c ON c.oid IN (k.conrelid, k.confrelid)
 WHERE c.relnamespace = current_schema()::regnamespace AND k.contype = 'f' ORDER BY 2"""
_HINDRANCES = """WITH t AS (SELECT * FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')),
 a AS (SELECT t.relname, t.oid AS relid, b.*, coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS filling FROM t
   JOIN pg_attribute b ON b.attrelid = t.oid AND b.attnum > 0 AND NOT b.attisdropped
   LEFT JOIN pg_attrdef d ON d.adrelid = b.attrelid AND d.adnum = b.attnum)
SELECT relname::text, 'partitioned' AS kind, ''::text AS detail FROM t WHERE relkind = 'p' OR relispartition
UNION SELECT relname, 'inherits', '' FROM t JOIN pg_inherits ON oid IN (inhrelid, inhparent) WHERE relkind = 'r' AND NOT relispartition
UNION SELECT relname, 'generated', attname FROM a WHERE attgenerated <> ''
UNION SELECT relname, 'always numbered', attname FROM a WHERE attidentity = 'a'
UNION SELECT relname, 'numbered', attname FROM a WHERE attidentity = 'd' OR (attgenerated = '' AND filling LIKE 'nextval(%')
UNION SELECT relname, 'exclusion', conname FROM t JOIN pg_constraint ON conrelid = t.oid WHERE contype = 'x'
UNION SELECT relname, 'deferrable', conname FROM t JOIN pg_constraint ON conrelid = t.oid WHERE contype IN ('p', 'u') AND condeferrable
UNION SELECT t.relname, 'partly unique', i.relname FROM t JOIN pg_index x ON x.indrelid = t.oid JOIN pg_class i ON i.oid = x.indexrelid
  WHERE x.indisunique AND (x.indpred IS NOT NULL OR x.indexprs IS NOT NULL)
UNION SELECT relname, 'rule', rulename FROM t JOIN pg_rewrite r ON r.ev_class = t.oid WHERE rulename <> '_RETURN'
UNION SELECT relname, 'policies', '' FROM t WHERE relrowsecurity
UNION SELECT t.relname, 'view', v.relname FROM t JOIN pg_depend d ON d.refobjid = t.oid AND d.classid = 'pg_rewrite'::regclass
  JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class WHERE v.oid <> t.oid
UNION SELECT relname, 'owner', pg_get_userbyid(relowner) FROM t WHERE NOT pg_has_role(relowner, 'USAGE')
UNION SELECT t.relname, 'granted', coalesce(pg_get_userbyid(nullif(g.grantee, 0)), 'public') FROM t, aclexplode(t.relacl) AS g
  WHERE g.grantee <> t.relowner
UNION SELECT relname, 'own type', attname FROM a JOIN pg_type y ON y.oid = a.atttypid
  WHERE y.typnamespace <> 'pg_catalog'::regnamespace
UNION SELECT a.relname, 'slow key', a.attname FROM a JOIN pg_index x ON x.indrelid = a.relid AND x.indisprimary AND a.attnum = ANY (x.indkey)
  JOIN pg_collation l ON l.oid = a.attcollation
  WHERE coalesce(nullif(l.collname, 'default'), (SELECT datcollate FROM pg_database WHERE datname = current_database()))
    NOT IN ('C', 'POSIX', 'ucs_basic')
ORDER BY 1, 2, 3"""


async def look(connection: OwnDialect, schemas: Mapping[str, TableSchema]) -> ServerFacts:
    """What there is in its schema. Raises ShardError and MeshError."""
    ((version, most_prepared, may_create, oldest),) = await connection.own(_SERVER)
    triggers: dict[str, list[str]] = defaultdict(list)
    for table, name in await connection.own(_TRIGGERS):
        triggers[table].append(name)
    references: dict[str, list[str]] = defaultdict(list)
    for table, name in await connection.own(_REFERENCES):
        references[table].append(name)
    hindrances: dict[str, list[Hindrance]] = defaultdict(list)
    for table, kind, detail in await connection.own(_HINDRANCES):
        hindrances[table].append(Hindrance(HindranceKind(kind), detail))
    tables = {
        name.lower(): TableFacts(
            schemas[name],
            "",
            rows,
            size,
            tuple(triggers[name]),
            tuple(references[name]),
            tuple(hindrances[name]),
        )
        for name, rows, size in await connection.own(_TABLES)
        if name in schemas
    }
    return ServerFacts(
        f"PostgreSQL {version}",
        oldest=oldest,
        tables=tables,
        postgres=PostgresFacts(most_prepared, may_create),
    )
