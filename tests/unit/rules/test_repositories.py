"""`mode` of global.yaml: where the store is."""

from __future__ import annotations

import pytest

from dbmesh.rules.loader import load_configuration
from dbmesh.rules.mistakes import ConfigurationError
from dbmesh.rules.repositories import EtcdRepository, Repository, SQLiteRepository

_DATABASE = "databaseName: shop\ndataSources: {ds: {url: 'mysql://h:3306/s', username: u}}\nrules: []\n"
_GLOBAL = "authority: {users: [{user: root, password: root}]}\n"


def _load(mode: str) -> Repository | None:
    files = {"global.yaml": _GLOBAL + mode, "database-shop.yaml": _DATABASE}
    return load_configuration(files, lambda _, name: {"ETCD_PASSWORD": "hush"}.get(name)).repository


@pytest.mark.parametrize(
    ("mode", "repository"),
    [
        ("", None),
        ("mode: {type: Standalone, repository: {type: JDBC, props: {provider: H2}}}", None),
        ("mode: {repository: {type: SQLite}}", SQLiteRepository()),
        ("mode: {repository: {type: sqlite, props: {path: /var/s.db}}}", SQLiteRepository("/var/s.db")),
        (
            "mode: {type: Cluster, repository: {type: etcd, props: {server-lists: localhost}}}",
            EtcdRepository("dbmesh", ("localhost:2379",)),
        ),
        (
            (
                "mode: {type: Cluster, repository: {type: Etcd, props: {namespace: governance_ds, "
                "server-lists: 'https://a:1, https://[::1]:2', timeToLiveSeconds: 30, connectionTimeout: 0.5, "
                "user: mesh, password: '${env:ETCD_PASSWORD}', ssl-ca: ca.pem, ssl-cert: c.pem, ssl-key: k.pem}}}"
            ),
            EtcdRepository(
                "governance_ds",
                ("a:1", "[::1]:2"),
                30.0,
                0.5,
                "mesh",
                "hush",
                True,
                "ca.pem",
                "c.pem",
                "k.pem",
            ),
        ),
    ],
)
def test_repositories_are_read(mode: str, repository: Repository | None) -> None:
    assert _load(mode) == repository


@pytest.mark.parametrize(
    ("props", "message"),
    [
        ("", "server-lists is missing"),
        ("server-lists: 'ftp://a:1'", "'ftp://a:1' is no address of etcd"),
        ("server-lists: 'http://a:port'", "'http://a:port' is no address of etcd"),
        ("server-lists: 'http://a:1,https://b:2'", "some servers use TLS, others do not"),
        ("server-lists: 'a:1', connectionTimeout: soon", "'soon' is no number of seconds"),
        ("server-lists: 'a:1', serverlists: 'b:1'", "unknown property 'serverlists'"),
        ("server-lists: 'a:1', password: '${env:NONE}'", "environment variable 'NONE' is not set"),
    ],
)
def test_mistakes_are_named(props: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        _load(f"mode: {{type: Cluster, repository: {{type: etcd, props: {{{props}}}}}}}")
