"""How the mesh itself logs in to its data sources: TLS by `sslMode`, ed25519, caching_sha2_password."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.plugins.certificates import make_certificate
from tests.plugins.database_server import DatabaseServer
from tests.plugins.equivalence import Answer, ask
from tests.plugins.fix_mysql import ServerFactory
from tests.plugins.mesh import Mesh
from tests.plugins.raw_client import RawClient
from tests.plugins.shop import global_yaml

pytestmark = pytest.mark.integration

_DATABASE = """\
databaseName: vault
dataSources:
  only: {{url: "jdbc:mysql://127.0.0.1:{port}/{schema}?{options}", username: {user}, password: {password}}}
rules: []
"""
_USERS = """\
- {user: sha@%, password: secret, authenticationMethodName: caching_sha2_password}
- {user: native@%, password: secret, authenticationMethodName: mysql_native_password}"""

# Each product has a way of logging in that the other has not.
_OWN_AUTHENTICATION = {
    "MariaDB": (
        "INSTALL SONAME 'auth_ed25519'",
        "CREATE USER own@'%' IDENTIFIED VIA ed25519 USING PASSWORD('secret')",
    ),
    "MySQL": ("CREATE USER own@'%' IDENTIFIED WITH caching_sha2_password BY 'secret'",),
}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The certificate and key of the server."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def server(database_server: ServerFactory, certificate: tuple[Path, Path]) -> DatabaseServer:
    """A server with TLS, and with accounts that insist on it or on the server's own way of logging in."""
    made: DatabaseServer = database_server(
        "vault", options=(f"--ssl-cert={certificate[0]}", f"--ssl-key={certificate[1]}")
    )[0]
    made.execute(
        "CREATE DATABASE vault",
        "CREATE TABLE vault.t (id INT PRIMARY KEY, word VARCHAR(10))",
        "INSERT INTO vault.t VALUES (1, 'one'), (2, 'two')",
        "CREATE USER secure@'%' IDENTIFIED BY 'secret' REQUIRE SSL",
        "GRANT ALL ON vault.* TO secure@'%'",
        *_OWN_AUTHENTICATION[made.product],
        "GRANT ALL ON vault.* TO own@'%'",
    )
    return made


MeshTo = Callable[..., Mesh]


@pytest.fixture
def mesh_to(tmp_path: Path) -> Iterator[MeshTo]:
    """Starts a mesh whose one data source is the given port, with the given account and URL options."""
    made: list[Mesh] = []

    def make(
        port: int,
        user: str,
        options: str = "",
        schema: str = "vault",
        password: str = "secret",
        **props: Any,
    ) -> Mesh:
        directory = tmp_path / f"rules{len(made)}"
        directory.mkdir()
        (directory / "global.yaml").write_text(global_yaml(props or None, _USERS))
        (directory / "database-vault.yaml").write_text(
            _DATABASE.format(port=port, schema=schema, options=options, user=user, password=password)
        )
        mesh = Mesh(directory, tmp_path / f"mesh{len(made)}.log")
        made.append(mesh)
        return mesh.start()

    yield make
    for mesh in reversed(made):
        mesh.stop_cleanly()
        print(mesh.output())  # shown when the test has failed


def _works(mesh: Mesh) -> None:
    with mesh.connect("vault") as connection:
        answer = ask(connection, "SELECT word FROM t WHERE id = 2")
        assert (answer.rows, answer.error) == ((("two",),), None), answer.text
        assert ask(connection, "UPDATE t SET word = 'one' WHERE id = 1").error is None


def _fails(mesh: Mesh) -> Answer:
    with mesh.connect(None) as connection:
        answer = ask(connection, "SELECT * FROM vault.t")
    assert answer.error is not None
    assert "only" in answer.text, answer.text
    return answer


@pytest.mark.parametrize(
    "options", ["sslMode=REQUIRED", "useSSL=true", "sslMode=required", "sslMode=PREFERRED"]
)
def test_tls_reaches_an_account_that_insists_on_it(
    server: DatabaseServer, mesh_to: MeshTo, options: str
) -> None:
    before = server.status("Ssl_finished_accepts")
    _works(mesh_to(server.port, "secure", options))
    assert server.status("Ssl_finished_accepts") > before


@pytest.mark.parametrize("options", ["", "sslMode=DISABLED", "useSSL=false"])
def test_without_tls_that_account_is_refused(server: DatabaseServer, mesh_to: MeshTo, options: str) -> None:
    _fails(mesh_to(server.port, "secure", options))


def test_a_preference_for_tls_is_dropped_where_the_server_has_none(
    server: DatabaseServer, mesh_to: MeshTo
) -> None:
    inner = mesh_to(server.port, "own")  # offers no TLS to its clients
    _works(mesh_to(inner.port, "native", "sslMode=PREFERRED"))
    assert "does not offer it" in _fails(mesh_to(inner.port, "native", "sslMode=REQUIRED")).text


def test_big_answers_pass_through_tls(server: DatabaseServer, mesh_to: MeshTo) -> None:
    crossed = ", ".join(f"t AS t{number}" for number in range(14))
    with mesh_to(server.port, "secure", "sslMode=REQUIRED").connect("vault") as connection:
        for statement, count in (
            ("SELECT REPEAT('x', 20000000), id FROM t", 2),
            (f"SELECT t0.id, t9.word FROM {crossed}", 1 << 14),
        ):
            answer = ask(connection, statement)
            assert answer.error is None, answer.text
            assert len(answer.rows) == count


def test_a_certificate_is_verified_on_demand(
    server: DatabaseServer, mesh_to: MeshTo, certificate: tuple[Path, Path]
) -> None:
    _works(mesh_to(server.port, "secure", f"sslMode=VERIFY_CA&sslCa={certificate[0]}"))
    assert "certificate" in _fails(mesh_to(server.port, "secure", "sslMode=VERIFY_CA")).text.lower()
    # The certificate is for localhost, the address is 127.0.0.1.
    _fails(mesh_to(server.port, "secure", f"sslMode=VERIFY_IDENTITY&sslCa={certificate[0]}"))


@pytest.mark.parametrize("options", ["", "sslMode=REQUIRED"])
def test_the_servers_own_authentication(server: DatabaseServer, mesh_to: MeshTo, options: str) -> None:
    """ed25519 or caching_sha2_password; the latter sends the password once and is remembered from then on."""
    server.execute("FLUSH PRIVILEGES")  # forgets what it remembered
    for _ in range(2):
        _works(mesh_to(server.port, "own", options))


def test_a_wrong_account_is_named(server: DatabaseServer, mesh_to: MeshTo) -> None:
    assert "nobody" in _fails(mesh_to(server.port, "nobody")).text


@pytest.mark.parametrize("user", ["sha", "native"])
@pytest.mark.parametrize("secure", [False, True])
def test_a_mesh_behind_a_mesh(server: DatabaseServer, mesh_to: MeshTo, user: str, secure: bool) -> None:
    """caching_sha2_password by RSA and over TLS: MariaDB does not speak it, another mesh does."""
    inner = mesh_to(server.port, "own", **{"proxy-frontend-ssl-enabled": str(secure).lower()})
    outer = mesh_to(inner.port, user, "sslMode=REQUIRED" if secure else "")
    for _ in range(2):
        _works(outer)


_SERVERS_OWN = (
    "SELECT COUNT(*) FROM mysql.user",
    "SELECT u.user, `db`.db FROM `user` AS u LEFT JOIN db USING (user, host) ORDER BY u.user, u.host",
    "SELECT user FROM mysql.user ORDER BY user, host LIMIT 1",
    "SHOW TABLES FROM mysql LIKE 'u%'",
    "SHOW FULL TABLES IN sys",
    "SHOW COLUMNS FROM mysql.user",
    "SHOW BINARY LOGS",
    "SHOW ENGINE nope STATUS",
)
_DENIED = {
    "SELECT COUNT(*) FROM mysql.user": "1142: SELECT command denied to user 'native'@'%' for table 'user'",
    "SELECT 1 FROM information_schema.tables JOIN mysql.db LIMIT 1": "1142: SELECT command denied to user 'native'@'%' for table 'db'",
    "DESCRIBE mysql.user": "1142: SELECT command denied to user 'native'@'%' for table 'user'",
    "USE mysql": "1044: Access denied for user 'native'@'%' to database 'mysql'",
    "SHOW TABLES FROM sys": "1044: Access denied for user 'native'@'%' to database 'sys'",
    "SHOW MASTER STATUS": "1227: Access denied; you need (at least one of) the SUPER privilege(s) for this operation",
    "SHOW BINARY LOGS": "1227: Access denied; you need (at least one of) the SUPER privilege(s) for this operation",
    "SET GLOBAL max_connections = 10": "1227: Access denied; you need (at least one of) the SUPER privilege(s) for this operation",
    "FLUSH STATUS": "1227: Access denied; you need (at least one of) the RELOAD privilege(s) for this operation",
}


def test_the_only_server_tells_administrators_of_itself(server: DatabaseServer, mesh_to: MeshTo) -> None:
    """And nobody else, though every account may use every database."""
    mesh = mesh_to(server.port, server.user, schema="vault", password=server.password)
    with mesh.connect("mysql") as session, server.connect("mysql") as plain:
        for statement in _SERVERS_OWN:
            assert ask(session, statement) == ask(plain, statement), statement
    with mesh.connect("vault", user="native", password="secret") as session:
        for statement, error in _DENIED.items():
            with pytest.raises(pymysql.MySQLError) as denied:
                session.cursor().execute(statement)
            assert "{}: {}".format(*denied.value.args) == error


_PROCEDURES = (
    "CREATE PROCEDURE run_it(x TEXT) BEGIN SET @text = x; PREPARE s FROM @text; EXECUTE s; DEALLOCATE PREPARE s; END",
    "CREATE PROCEDURE run_both(OUT n INT) BEGIN CALL run_it('SELECT word FROM t'); CALL count_them(n); END",
    "CREATE PROCEDURE count_them(OUT n INT) SELECT COUNT(*) INTO n FROM t",
    "SET @seen = 1, @own = 2",
    "CALL run_it('SELECT id, word FROM t ORDER BY id')",
    "CALL run_both(@n)",
    "SELECT @n",
    "CALL run_it('CREATE TABLE made (id INT PRIMARY KEY)')",
    "INSERT INTO made VALUES (1), (2)",
    "CALL run_it('RENAME TABLE made TO named')",
    "SELECT * FROM made",
    "SELECT COUNT(*) FROM named",
    "CALL run_it('CREATE TEMPORARY TABLE passing AS SELECT 7 AS n')",
    "CALL run_it('SELECT n FROM passing')",
    "CALL run_it('SET @seen = 5, @new = 6')",
    "SELECT @seen, @own, @new",
    "PREPARE p FROM 'SELECT ? + 1 AS n'",
    "EXECUTE p USING @seen",
    "CALL run_it('SET SESSION sql_mode = ''ANSI_QUOTES''')",
    'SELECT "word" FROM t ORDER BY id',
    "SET sql_mode = DEFAULT",
    "BEGIN",
    "INSERT INTO named VALUES (3)",
    "CALL run_it('INSERT INTO named VALUES (4)')",
    "ROLLBACK",
    "SELECT COUNT(*) FROM named",
    "CALL run_it('SELECT * FROM missing')",
    "CALL run_it('SELECT 1 FRO')",
    "SELECT word FROM t WHERE id = 2",
    "DROP TABLE named",
    "DROP PROCEDURE run_it",
    "DROP PROCEDURE run_both",
    "DROP PROCEDURE count_them",
)


def test_procedures_run_any_sql_where_a_database_has_one_place(
    server: DatabaseServer, mesh_to: MeshTo
) -> None:
    mesh = mesh_to(server.port, server.user, password=server.password)
    with mesh.connect("vault") as session, server.connect("vault") as plain:
        expected = [ask(plain, statement) for statement in _PROCEDURES]
        assert [ask(session, statement) for statement in _PROCEDURES] == expected


def test_lists_of_a_database_with_one_place_are_its_servers(server: DatabaseServer, mesh_to: MeshTo) -> None:
    lists = (
        "SHOW TABLES",
        "SHOW TABLES LIKE 'beh%'",
        "SHOW FULL TABLES",
        "SHOW TABLE STATUS LIKE 'behind%'",
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'vault'",
        "SELECT table_name FROM information_schema.tables WHERE table_name = 'behind_it'",
    )
    mesh = mesh_to(server.port, server.user, password=server.password)
    with mesh.connect("vault") as session, server.connect("vault") as plain:
        ask(plain, "CREATE TABLE behind_it (id INT PRIMARY KEY)")
        try:
            for statement in lists:
                answer = ask(session, statement)
                assert answer.rows == ask(plain, statement).rows, statement
                assert "behind_it" in str(answer.rows)
        finally:
            ask(plain, "DROP TABLE behind_it")


def test_prepare_forgets_warnings_where_a_table_is_named(server: DatabaseServer, mesh_to: MeshTo) -> None:
    mesh = mesh_to(server.port, server.user, password=server.password)
    told = []
    for port, user, password in ((mesh.port, "root", "root"), (server.port, server.user, server.password)):
        with RawClient("127.0.0.1", port) as raw:
            raw.log_in(user, password, "vault")
            raw.query("DROP TABLE IF EXISTS missing")
            for statement in ("SELECT 1", "DROP TABLE IF EXISTS missing"):
                raw.prepare(statement)
                told.append((statement, raw.query("SELECT @@warning_count")))
    assert told[:2] == told[2:]


def test_prepare_tells_the_columns_of_show(server: DatabaseServer, mesh_to: MeshTo) -> None:
    mesh = mesh_to(server.port, server.user, password=server.password)
    told = []
    for port, user, password in ((mesh.port, "root", "root"), (server.port, server.user, server.password)):
        with RawClient("127.0.0.1", port) as raw:
            raw.log_in(user, password, "vault")
            told.append(
                [
                    # Without the statement's id: a server goes on counting when it reuses a thread.
                    raw.prepare(statement)[1:]
                    for statement in (
                        "SHOW CREATE PROCEDURE e1;",
                        "SHOW CREATE FUNCTION e1",
                        "SHOW BINARY LOGS",
                    )
                ]
            )
    assert told[0] == told[1]
