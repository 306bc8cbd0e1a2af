"""Users, roles and grants by SQL: answers as one MariaDB server gives, in force on every sidecar, and no password anywhere."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.integration.governance.test_admin import Operated
from tests.plugins.database_server import DatabaseServer
from tests.plugins.fix_mysql import ServerFactory
from tests.plugins.mesh import Mesh
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration

_GLOBAL = """\
mode: {type: Standalone, repository: {type: SQLite, props: {path: accounts.db}}}
authority:
  users:
  - {user: root@%, password: root, admin: true}
  roles:
  - {role: written, grants: [{privileges: SELECT, on: shop.*}]}
admin: {port: 0, sqlPort: 0, token: "0123456789abcdef-token"}
protection:
  audit: {file: audit.log, rules: {all: {literals: true}}}
props: {sql-show: true, slow-statement-milliseconds: 1}
"""
_SHOP = """\
databaseName: shop
dataSources:
  ds_0: {{url: 'mysql://{server.user}:{server.password}@{server.host}:{server.port}/shop'}}
rules:
- !SINGLE
  tables: ['*.*']
"""


class Governed:
    """Two sidecars with one store in front of a server, which has accounts of its own to compare with."""

    def __init__(self, server: DatabaseServer, directory: Path) -> None:
        self.server = server
        self.directory = directory
        directory.mkdir()
        (directory / "global.yaml").write_text(_GLOBAL)
        (directory / "database-shop.yaml").write_text(_SHOP.format(server=server))
        self.here, self.there = (
            Mesh(directory, directory.parent / f"{name}.log") for name in ("here", "there")
        )

    def plain(self, user: str, password: str) -> pymysql.Connection[Any]:
        return pymysql.connect(
            host=self.server.host, port=self.server.port, user=user, password=password, autocommit=True
        )

    def written(self) -> str:
        """All that is on disk of the mesh, but for the configuration."""
        files = [
            path for path in self.directory.parent.rglob("*") if path.is_file() and path.suffix != ".yaml"
        ]
        return "\n".join(path.read_bytes().decode("latin-1") for path in files)


@pytest.fixture(scope="module")
def governed(mariadb_server: ServerFactory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    [server] = mariadb_server("accounts")
    server.execute("CREATE DATABASE shop", "CREATE TABLE shop.t (a INT PRIMARY KEY, b INT)")
    server.execute("INSERT INTO shop.t VALUES (1, 10)", "CREATE TABLE shop.u (a INT)")
    governed = Governed(server, tmp_path_factory.mktemp("accounts") / "mesh")
    governed.here.start()
    governed.there.start()
    yield governed
    for mesh in (governed.here, governed.there):
        if mesh.running:
            mesh.stop_cleanly()


def _ask(connection: pymysql.Connection[Any], statement: str) -> tuple[Any, ...]:
    """Everything a server says, but for passwords, which the mesh does not show in SHOW GRANTS."""
    with connection.cursor() as cursor:
        try:
            cursor.execute(statement)
        except pymysql.MySQLError as error:
            return error.args
        result: Any = cursor._result
        rows = [re.sub(r" IDENTIFIED BY PASSWORD '\*\w+'", "", str(row[0])) for row in cursor.fetchall()]
        titles = [column[0] for column in cursor.description or ()]
        shown: tuple[Any, ...] = ()
        if result.warning_count:
            cursor.execute("SHOW WARNINGS")
            shown = tuple(cursor.fetchall())
        return titles, rows, cursor.rowcount if not titles else None, shown


_AS_ROOT = """
CREATE USER ann IDENTIFIED BY 'x'
CREATE USER ann
CREATE USER IF NOT EXISTS ann
CREATE USER bob, ann, carl
DROP USER nobody
DROP USER IF EXISTS nobody, bob
DROP USER carl, nobody, nobody2
ALTER USER nobody@localhost ACCOUNT LOCK
CREATE ROLE r
CREATE ROLE r
CREATE ROLE IF NOT EXISTS r
DROP ROLE nor
DROP ROLE IF EXISTS nor
DROP USER r
DROP ROLE ann
SHOW GRANTS FOR ann
SHOW GRANTS FOR r
SHOW GRANTS FOR nobody@localhost
SHOW CREATE USER ann
SHOW CREATE USER nobody
SHOW CREATE USER r
GRANT SELECT ON shop.* TO nobody
GRANT SELECT ON shop.* TO nobody IDENTIFIED BY 'y'
SHOW GRANTS FOR nobody
GRANT SELECT, INSERT (b, a), UPDATE (b) ON shop.t TO ann
GRANT SELECT ON shop.nope TO ann
GRANT CREATE ON shop.nope TO ann
GRANT SELECT (z) ON shop.t TO ann
GRANT SELECT ON nodb.t TO ann
GRANT ALL ON shop.* TO ann WITH GRANT OPTION
SHOW GRANTS FOR ann
REVOKE DELETE ON other.* FROM ann
REVOKE DELETE ON shop.t FROM ann
REVOKE DELETE ON shop.t2 FROM ann
REVOKE SELECT ON *.* FROM ann
REVOKE SELECT ON *.* FROM zzz
REVOKE SELECT ON shop.t FROM zzz
REVOKE ALL ON shop.* FROM ann
REVOKE UPDATE ON shop.t FROM ann
SHOW GRANTS FOR ann
REVOKE ALL PRIVILEGES, GRANT OPTION FROM ann
SHOW GRANTS FOR ann
REVOKE ALL PRIVILEGES, GRANT OPTION FROM zzz
GRANT r TO ann
GRANT r TO zzz
GRANT nor TO ann
GRANT ann TO nobody
GRANT r TO ann WITH ADMIN OPTION
SHOW GRANTS FOR ann
GRANT SELECT, INSERT (b, a) ON shop.t TO r
SELECT CONCAT_WS(' ', GRANTEE, TABLE_CATALOG, TABLE_SCHEMA, TABLE_NAME, PRIVILEGE_TYPE, IS_GRANTABLE) FROM information_schema.TABLE_PRIVILEGES WHERE TABLE_SCHEMA = 'shop' ORDER BY 1
SELECT CONCAT_WS(' ', GRANTEE, TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, PRIVILEGE_TYPE, IS_GRANTABLE) FROM information_schema.COLUMN_PRIVILEGES WHERE TABLE_SCHEMA = 'shop' ORDER BY 1
REVOKE ALL PRIVILEGES, GRANT OPTION FROM r
CREATE ROLE r2
GRANT r TO r2
GRANT r2 TO r
SHOW GRANTS FOR r2
REVOKE r2 FROM ann
REVOKE nor FROM ann
REVOKE ADMIN OPTION FOR r FROM ann
SET DEFAULT ROLE r2 FOR ann
SET DEFAULT ROLE r FOR ann
SHOW GRANTS FOR ann
SET DEFAULT ROLE nor FOR ann
SET ROLE nor
SET PASSWORD FOR ann = 'clear'
SET PASSWORD FOR ann = PASSWORD('q')
SHOW CREATE USER ann
SET PASSWORD FOR zzz = PASSWORD('q')
RENAME USER ann TO ann2
RENAME USER zzz TO yyy
RENAME USER ann2 TO nobody
SHOW GRANTS FOR ann2
ALTER USER ann2 ACCOUNT LOCK
SHOW CREATE USER ann2
ALTER USER ann2 ACCOUNT UNLOCK
CREATE USER p IDENTIFIED VIA mysql_native_password USING 'bad'
CREATE USER p IDENTIFIED BY PASSWORD '*E6'
CREATE USER p IDENTIFIED VIA nope
CREATE OR REPLACE USER IF NOT EXISTS p
CREATE USER p@LOCALHOST
GRANT SELECT, EXECUTE ON shop.t TO p@localhost
GRANT FILE ON shop.* TO p@localhost
GRANT INSERT ON nodb.* TO p@localhost
GRANT SELECT ON `sh\\_op`.* TO p@localhost
GRANT DROP, RELOAD, CREATE USER, SUPER, SELECT, TRIGGER ON *.* TO p@localhost
SELECT CONCAT_WS(' ', GRANTEE, TABLE_CATALOG, PRIVILEGE_TYPE, IS_GRANTABLE) FROM information_schema.USER_PRIVILEGES WHERE GRANTEE IN ("'p'@'localhost'", "'ann2'@'%'", "'r'@''") ORDER BY 1
SELECT CONCAT_WS(' ', GRANTEE, TABLE_SCHEMA, PRIVILEGE_TYPE, IS_GRANTABLE) FROM information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE LIKE "'p'%" OR GRANTEE LIKE "'ann%" ORDER BY 1
SHOW GRANTS FOR p@localhost
REVOKE ALL ON *.* FROM p@localhost
SHOW GRANTS FOR p@localhost
GRANT SELECT ON * TO ann2
CREATE ROLE NONE
DROP ROLE r, r2
DROP USER ann2, nobody, p@localhost
"""
_PREPARED = """
CREATE USER low IDENTIFIED BY 'l'
CREATE USER mid IDENTIFIED BY 'm'
CREATE USER cu IDENTIFIED BY 'c'
GRANT SELECT, INSERT (a) ON shop.t TO low
GRANT SELECT ON shop.* TO mid WITH GRANT OPTION
GRANT CREATE USER ON *.* TO cu
CREATE ROLE rr
GRANT rr TO low
CREATE ROLE rs
GRANT rs TO rr
"""
_OWN = """
SELECT CONCAT_WS(' ', GRANTEE, PRIVILEGE_TYPE, IS_GRANTABLE) FROM information_schema.USER_PRIVILEGES ORDER BY 1
SELECT CONCAT_WS(' ', GRANTEE, TABLE_SCHEMA, PRIVILEGE_TYPE, IS_GRANTABLE) FROM information_schema.SCHEMA_PRIVILEGES ORDER BY 1
SELECT CONCAT_WS(' ', GRANTEE, TABLE_SCHEMA, TABLE_NAME, PRIVILEGE_TYPE, IS_GRANTABLE) FROM information_schema.TABLE_PRIVILEGES ORDER BY 1
SELECT CONCAT_WS(' ', GRANTEE, TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, PRIVILEGE_TYPE, IS_GRANTABLE) FROM information_schema.COLUMN_PRIVILEGES ORDER BY 1
SELECT CONCAT_WS(' ', GRANTEE, ROLE_NAME, IS_GRANTABLE, IFNULL(IS_DEFAULT, 'NULL')) FROM information_schema.APPLICABLE_ROLES ORDER BY 1
SELECT IFNULL(ROLE_NAME, 'NULL') FROM information_schema.ENABLED_ROLES ORDER BY 1
"""
"""What an account sees of accounts and roles: its own."""
_AS_OTHERS = {
    "low": f"""{_OWN}
CREATE USER q
DROP USER mid
ALTER USER mid IDENTIFIED BY 'z'
ALTER USER low ACCOUNT LOCK
SET PASSWORD = PASSWORD('l')
SET PASSWORD FOR low = PASSWORD('l')
SET PASSWORD FOR mid = PASSWORD('l')
RENAME USER mid TO mid2
GRANT SELECT ON shop.* TO cu
GRANT SELECT ON *.* TO cu
GRANT SELECT ON shop.* TO q IDENTIFIED BY 'w'
REVOKE SELECT ON shop.* FROM mid
REVOKE ALL, GRANT OPTION FROM mid
CREATE ROLE zr
DROP ROLE rr
GRANT rr TO mid
REVOKE rr FROM mid
SHOW GRANTS
SHOW GRANTS FOR mid
SHOW GRANTS FOR rr
SHOW CREATE USER mid
SHOW CREATE USER low
SELECT CURRENT_ROLE()
SET ROLE rr
SELECT CURRENT_ROLE() AS role
SELECT CURRENT_ROLE
SHOW GRANTS FOR rr
SET DEFAULT ROLE rr
SHOW GRANTS{_OWN}
SET DEFAULT ROLE rr FOR mid
SET DEFAULT ROLE NONE
SET ROLE NONE
""",
    "mid": f"""{_OWN}
GRANT SELECT ON shop.* TO cu
GRANT SELECT, INSERT ON shop.* TO cu
GRANT SELECT ON shop.t TO cu
GRANT ALL ON shop.* TO cu
GRANT SELECT ON `s%`.* TO cu
GRANT SELECT ON shop.* TO newone IDENTIFIED BY 'f'
GRANT SELECT ON shop.* TO cu IDENTIFIED BY 'f'
REVOKE SELECT ON shop.* FROM cu
""",
    "cu": """
CREATE USER q IDENTIFIED BY 'e'
CREATE ROLE qr
SHOW GRANTS
GRANT qr TO q
GRANT rr TO q
GRANT SELECT ON shop.* TO q
GRANT USAGE ON *.* TO q
REVOKE ALL, GRANT OPTION FROM q
DROP ROLE qr
DROP USER q
""",
}


def test_answers_are_one_servers(governed: Governed) -> None:
    """The same statements on the mesh and on MariaDB: errors, warnings, what SHOW says."""
    different = []

    def same(mesh: pymysql.Connection[Any], plain: pymysql.Connection[Any], statements: str) -> None:
        for statement in statements.strip().splitlines():
            answers = _ask(mesh, statement), _ask(plain, statement)
            if answers[0] != answers[1]:
                different.append((statement, *answers))

    with governed.here.connect(None) as mesh, governed.plain("root", governed.server.password) as plain:
        same(mesh, plain, _AS_ROOT)
        for statement in _PREPARED.strip().splitlines():
            assert len(_ask(mesh, statement)) == len(_ask(plain, statement)) == 4
        for user, statements in _AS_OTHERS.items():
            with (
                governed.here.connect(None, user=user, password=user[0]) as other,
                governed.plain(user, user[0]) as beside,
            ):
                same(other, beside, statements)
        for statement in ("DROP USER low, mid, cu", "DROP ROLE rr, rs"):
            assert len(_ask(mesh, statement)) == len(_ask(plain, statement)) == 4
    assert not different, "\n".join(map(str, different))


def test_accounts_hold_on_every_sidecar_and_stay(governed: Governed) -> None:
    """Made on one sidecar, used on the other; what is taken away is gone from sessions that run; a restart forgets nothing."""
    with governed.here.connect() as root:
        for statement in (
            "CREATE USER far IDENTIFIED BY 'hush-far'",
            "CREATE USER sha IDENTIFIED WITH caching_sha2_password BY 'hush-sha'",
            "GRANT SELECT ON shop.t TO far",
            "GRANT written TO sha",
            "SET DEFAULT ROLE written FOR sha",
        ):
            _ask(root, statement)
        governed.here.connect(None, user="sha", password="hush-sha").close()

        def connect(user: str, password: str, mesh: Mesh = governed.there) -> pymysql.Connection[Any] | None:
            try:
                return mesh.connect(user=user, password=password)
            except pymysql.MySQLError:
                return None

        far = wait_until(lambda: connect("far", "hush-far"), 10, "the account on the other sidecar")
        assert far is not None
        assert _ask(far, "SELECT b FROM t WHERE a = 1")[1] == ["10"]
        assert _ask(far, "SELECT a FROM u")[0] == 1142
        sha = wait_until(lambda: connect("sha", "hush-sha"), 10, "the other account")
        assert sha is not None
        assert _ask(sha, "SELECT COUNT(*) FROM u")[1] == ["0"]
        # An account changes its own password, here on the other sidecar.
        assert len(_ask(far, "SET PASSWORD = PASSWORD('hush-new')")) == 4
        wait_until(lambda: connect("far", "hush-new", governed.here), 10, "the new password")
        assert connect("far", "hush-far", governed.here) is None
        _ask(root, "REVOKE SELECT ON shop.t FROM far")
        _ask(root, "REVOKE written FROM sha")
        wait_until(lambda: _ask(far, "SELECT b FROM t WHERE a = 1")[0] == 1142, 10, "the revoked privilege")
        wait_until(lambda: _ask(sha, "SELECT COUNT(*) FROM u")[0] == 1142, 10, "the revoked role")
        _ask(root, "ALTER USER sha ACCOUNT LOCK")

        def refusal() -> int:
            try:
                governed.there.connect(None, user="sha", password="hush-sha").close()
            except pymysql.MySQLError as error:
                return int(error.args[0])
            return 0

        wait_until(lambda: refusal() == 4151, 10, "the lock")
        # Who is there goes on.
        assert _ask(sha, "SELECT 1")[1] == ["1"]
        _ask(root, "DROP USER far")
        wait_until(lambda: connect("far", "hush-new") is None, 10, "the end of the account")
        _ask(root, "GRANT SELECT ON shop.* TO stays IDENTIFIED BY 'hush-stays'")
        governed.there.stop_cleanly()
        governed.there.start()
        stays = connect("stays", "hush-stays")
        assert stays is not None
        assert _ask(stays, "SELECT b FROM t")[1] == ["10"]
        for connection in (far, sha, stays):
            connection.close()
        _ask(root, "DROP USER stays, sha")
    audit = governed.directory / "audit.log"
    wait_until(
        lambda: '"SELECT a FROM u", "outcome": "error"' in audit.read_text(),
        10,
        "what was denied in the audit log",
    )


def test_required_tls_that_is_not_served_is_warned_of(governed: Governed) -> None:
    with governed.here.connect() as root:
        *_, told = _ask(root, "CREATE USER sure REQUIRE SUBJECT '/CN=a' AND ISSUER '/CN=b'")
        assert [(level, number) for level, number, _ in told] == [("Warning", 1105)]
        assert _ask(root, "SHOW CREATE USER sure")[1] == [
            "CREATE USER `sure`@`%` REQUIRE ISSUER '/CN=b' SUBJECT '/CN=a'"
        ]
        assert _ask(root, "ALTER USER sure REQUIRE NONE")[-1] == ()
        _ask(root, "DROP USER sure")


def test_accounts_of_the_file_are_changed_there(governed: Governed) -> None:
    with governed.here.connect() as root:
        for statement in (
            "SET PASSWORD = PASSWORD('x')",
            "DROP USER root",
            "GRANT SELECT ON shop.* TO written",
        ):
            number, text = _ask(root, statement)
            assert number == 1235
            assert "which global.yaml names" in text


def test_no_password_is_anywhere(governed: Governed) -> None:
    """Store, logs, audit with literals, slow log, process lists, admin tables, prepared statements, and what data sources ran."""
    server = governed.server
    server.execute("SET GLOBAL log_output = 'TABLE'", "SET GLOBAL general_log = ON")
    shown: list[Any] = []
    with governed.here.connect() as root, root.cursor() as cursor:
        for statement in (
            "CREATE USER hidden IDENTIFIED BY 'hush-1'",
            "ALTER USER hidden IDENTIFIED WITH caching_sha2_password BY 'hush-2'",
            "SET PASSWORD FOR hidden = PASSWORD('hush-3')",
            "GRANT SELECT ON shop.* TO hidden IDENTIFIED BY 'hush-4'",
            "PREPARE s FROM 'ALTER USER hidden IDENTIFIED BY ''hush-5'''",
            "EXECUTE s",
            "EXECUTE IMMEDIATE 'ALTER USER hidden IDENTIFIED BY \"hush-6\"'",
            "CREATE USER hidden IDENTIFIED BY 'hush-7'",
            "CREATE USER IDENTIFIED BY 'hush-8'",
            "CREATE USER hidden2 IDENTIFED BY 'hush-9'",
        ):
            answer = _ask(root, statement)
            if answer[0] != 1064:
                shown.append(answer)
        flag = pymysql.constants.CLIENT.MULTI_STATEMENTS
        with governed.here.connect(client_flag=flag) as several, several.cursor() as other:
            other.execute(
                "SHOW FULL PROCESSLIST; SHOW PROXY PROCESSLIST; ALTER USER hidden IDENTIFIED BY 'hush-a'"
            )
            shown.append(other.fetchall())
            while other.nextset():
                shown.append(other.fetchall())
        shown += [_ask(root, f"SHOW {what} hidden") for what in ("GRANTS FOR", "CREATE USER")]
        operated = Operated(governed.here)
        shown += [operated.rows(table) for table in ("statements", "sessions", "errors")]
        shown.append(operated.ask("/metrics"))
        cursor.execute("SHOW CREATE USER hidden")
        assert "'*" in cursor.fetchall()[0][0]
        assert governed.here.connect(user="hidden", password="hush-a").open
        _ask(root, "DROP USER hidden")
    assert "SET PASSWORD <secret>" in str(shown)
    assert "hush" not in str(shown)
    written = governed.written()
    assert "CREATE USER hidden IDENTIFIED <secret>" in written
    assert "hush" not in written
    server.execute("SET GLOBAL general_log = OFF")
    assert server.execute("SELECT COUNT(*) FROM mysql.general_log WHERE argument LIKE '%hush%'") == [(0,)]


def test_command_line_clients_change_passwords(governed: Governed) -> None:
    """`mariadb-admin password`, and the mariadb client with statements from its standard input."""
    place = ["--no-defaults", "-h", governed.here.host, "-P", str(governed.here.port), "--skip-ssl"]
    with governed.here.connect() as root:
        _ask(root, "CREATE USER cli IDENTIFIED BY 'old'")
    for program, arguments in (("mariadb-admin", ["password", "new"]),):
        found = shutil.which(program)
        assert found is not None
        done = subprocess.run(
            [found, *place, "-u", "cli", "-pold", *arguments], capture_output=True, text=True, timeout=30
        )
        assert (done.returncode, done.stderr) == (0, "")
    client = shutil.which("mariadb")
    assert client is not None
    done = subprocess.run(
        [client, *place, "-u", "cli", "-pnew", "-N"],
        input="SET PASSWORD = PASSWORD('newer');\nSELECT CURRENT_USER();\nSHOW GRANTS;\n",
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["cli@%", "GRANT USAGE ON *.* TO `cli`@`%`"]
    with governed.here.connect(None, user="cli", password="newer") as own:
        assert _ask(own, "SELECT 1")[1] == ["1"]
    with governed.here.connect() as root:
        _ask(root, "DROP USER cli")
