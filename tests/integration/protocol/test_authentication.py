"""Who gets in and how: plugins, hashes, TLS, RSA, wrong passwords, unknown databases."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mysql.connector
import pymysql
import pytest

from dbmesh.wire.auth import make_sha2_stored
from tests.plugins.certificates import make_certificate, make_client_certificate
from tests.plugins.fix_mesh import Shop, Target
from tests.plugins.mesh import Mesh
from tests.plugins.raw_client import Failure, Ok, RawClient

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("collation", [35, 54, 60])
def test_a_client_of_a_wide_character_set_is_turned_away(target: Target, collation: int) -> None:
    with RawClient(target.host, target.port) as client:
        reply = client.log_in(target.user, target.password, target.database, collation=collation)
        assert isinstance(reply, Failure)
        assert (reply.number, "character_set_client" in reply.text) == (1231, True)


NATIVE_HASH = "*" + hashlib.sha1(hashlib.sha1(b"native-secret").digest()).hexdigest().upper()
STORED_HASH = make_sha2_stored(b"stored-secret", b"twenty-bytes-of-salt").decode()
USERS = f"""\
- {{user: native@%, password: "{NATIVE_HASH}"}}
- {{user: plain-native@%, password: plain, authenticationMethodName: mysql_native_password}}
- {{user: sha@%, password: "sha-secret", authenticationMethodName: caching_sha2_password}}
- {{user: stored@%, password: "{STORED_HASH}"}}
- {{user: nobody@10.99.%, password: x}}
- {{user: empty@%, password: ""}}"""


@pytest.fixture(scope="module")
def tls_mesh(mesh_with: Callable[..., Mesh]) -> Mesh:
    """A mesh with TLS and users of every kind."""
    return mesh_with(props={"proxy-frontend-ssl-enabled": "true"}, users=USERS)


@pytest.fixture(scope="module")
def open_mesh(mesh_with: Callable[..., Mesh]) -> Mesh:
    """The same users without TLS."""
    return mesh_with(users=USERS)


def test_what_tls_must_show(mesh_with: Callable[..., Mesh], tmp_path: Path) -> None:
    """requireTls, a certificate at all, its subject, its issuer: real TLS clients, one error for whatever is missing."""
    authority = make_certificate(tmp_path)
    users = """\
- {user: tls@%, password: x, requireTls: true}
- {user: certified@%, password: x, certificate: {}}
- {user: named@%, password: x, certificate: {subject: /O=Shop/CN=app, issuer: /CN=localhost}}"""
    files = dict(zip(("cert", "key"), map(str, authority), strict=True))
    props = {"proxy-frontend-ssl-enabled": "true", "proxy-frontend-ssl-ca": str(authority[0])}
    props |= {f"proxy-frontend-ssl-{name}": path for name, path in files.items()}
    mesh = mesh_with(props=props, users=users)

    def try_as(user: str, client: str | None) -> int:
        """The error's number, 0 for none. `client` is the name on its certificate, None without TLS, '' without certificate."""
        options: dict[str, Any] = {"ssl_disabled": True} if client is None else {"ssl_ca": str(authority[0])}
        if client:
            certificate = make_client_certificate(tmp_path, authority, client)
            options |= dict(zip(("ssl_cert", "ssl_key"), map(str, certificate), strict=True))
        try:
            _works(mesh.connect(user=user, password="x", **options))
        except pymysql.MySQLError as error:
            return int(error.args[0])
        return 0

    assert {
        (user, client): try_as(user, client)
        for user in ("tls", "certified", "named")
        for client in (None, "", "other", "app")
    } == {
        ("tls", None): 1045,
        ("tls", ""): 0,
        ("tls", "other"): 0,
        ("tls", "app"): 0,
        ("certified", None): 1045,
        ("certified", ""): 1045,
        ("certified", "other"): 0,
        ("certified", "app"): 0,
        ("named", None): 1045,
        ("named", ""): 1045,
        ("named", "other"): 1045,
        ("named", "app"): 0,
    }


def _works(connection: pymysql.Connection[Any]) -> None:
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT order_id FROM t_order WHERE order_id = 3")
        assert cursor.fetchall() == ((3,),)


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("native", "native-secret"),
        ("plain-native", "plain"),
        ("sha", "sha-secret"),
        ("stored", "stored-secret"),
        ("root", "root"),
        ("empty", ""),
    ],
)
def test_each_kind_of_account_logs_in(open_mesh: Mesh, user: str, password: str) -> None:
    for _ in range(2):  # the second caching_sha2 login may take the fast path
        _works(open_mesh.connect(user=user, password=password))


@pytest.mark.parametrize(
    ("user", "password"),
    [("native", "native-secret"), ("sha", "sha-secret"), ("stored", "stored-secret"), ("root", "root")],
)
def test_each_kind_of_account_logs_in_over_tls(tls_mesh: Mesh, user: str, password: str) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for _ in range(2):
        connection = tls_mesh.connect(user=user, password=password, ssl=context)
        assert isinstance(connection._sock, ssl.SSLSocket)  # type: ignore[attr-defined]
        with connection.cursor() as cursor:
            cursor.execute("SHOW STATUS WHERE Variable_name IN ('Ssl_cipher', 'Ssl_version')")
            [(_, cipher), (_, version)] = cursor.fetchall()
        assert (cipher, version) == (connection._sock.cipher()[0], connection._sock.version())
        _works(connection)


def test_the_connector_insists_on_tls_and_gets_it(tls_mesh: Mesh) -> None:
    connection = mysql.connector.connect(
        host=tls_mesh.host,
        port=tls_mesh.port,
        user="sha",
        password="sha-secret",
        database="shop",
        use_pure=True,
        ssl_disabled=False,
    )
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    assert cursor.fetchall() == [(1,)]
    cursor.close()
    connection.close()


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("native", "wrong"),
        ("sha", "wrong"),
        ("root", "wrong"),
        ("root", ""),
        ("stranger", "x"),
        ("nobody", "x"),
        ("empty", "x"),
    ],
)
def test_the_wrong_password_is_error_1045_and_others_go_on(open_mesh: Mesh, user: str, password: str) -> None:
    with open_mesh.connect() as other:
        with pytest.raises(pymysql.err.OperationalError) as refused:
            open_mesh.connect(user=user, password=password)
        assert refused.value.args[0] == 1045
        assert f"'{user}'@'127.0.0.1'" in refused.value.args[1]
        with other.cursor() as cursor:
            assert cursor.execute("SELECT 1") == 1


def test_a_cached_sha2_login_still_refuses_the_wrong_password(open_mesh: Mesh) -> None:
    _works(open_mesh.connect(user="sha", password="sha-secret"))
    with pytest.raises(pymysql.err.OperationalError) as refused:
        open_mesh.connect(user="sha", password="sha-secret2")
    assert refused.value.args[0] == 1045
    _works(open_mesh.connect(user="sha", password="sha-secret"))


def test_an_unknown_database_is_error_1049(open_mesh: Mesh) -> None:
    with pytest.raises(pymysql.err.OperationalError) as refused:
        open_mesh.connect("nowhere")
    assert refused.value.args[0] == 1049


def test_tls_that_is_not_offered_is_refused_without_harm(open_mesh: Mesh) -> None:
    with pytest.raises((pymysql.err.OperationalError, OSError)):
        open_mesh.connect(ssl={"check_hostname": False, "verify_mode": "required"})
    _works(open_mesh.connect())


def test_a_handshake_that_never_comes_does_not_hold_others(open_mesh: Mesh) -> None:
    silent = [socket.create_connection((open_mesh.host, open_mesh.port)) for _ in range(20)]
    try:
        _works(open_mesh.connect())
    finally:
        for one in silent:
            one.close()


def test_too_many_connections_is_error_1040(mesh_with: Callable[..., Mesh]) -> None:
    mesh = mesh_with(props={"proxy-frontend-max-connections": 3})
    clients = [mesh.connect() for _ in range(3)]
    with pytest.raises(pymysql.err.OperationalError) as refused:
        mesh.connect()
    assert refused.value.args[0] == 1040
    clients.pop().close()

    def free() -> bool:
        try:
            _works(mesh.connect())
        except pymysql.err.OperationalError:
            return False
        return True

    from tests.plugins.processes import wait_until

    wait_until(free, 5, "a place became free")
    for client in clients:
        client.close()


def test_a_taken_port_is_one_clear_sentence(shop: Shop, mesh_with: Callable[..., Mesh]) -> None:
    if not shop.meshed:
        pytest.skip("needs the mesh")
    second = mesh_with(start=False)
    second.port = shop.mesh.port
    with pytest.raises(RuntimeError):
        second.start()
    text = second.output()
    assert str(second.port) in text
    assert "Traceback" not in text
    assert len(text.strip().splitlines()) <= 2


def test_the_raw_handshake_names_a_thread_id_and_works(open_mesh: Mesh) -> None:
    ids = set()
    for _ in range(3):
        with RawClient(open_mesh.host, open_mesh.port) as client:
            assert isinstance(client.log_in(), Ok)
            ids.add(client.thread_id)
    assert len(ids) == 3
    with RawClient(open_mesh.host, open_mesh.port) as client:
        reply = client.log_in(password="wrong")
        assert isinstance(reply, Failure)
        assert (reply.number, reply.sqlstate) == (1045, "28000")
