"""The section `admin`: what is too open is a mistake before anything listens."""

from __future__ import annotations

import pytest

from dbmesh.rules.loader import ConfigurationError, load_configuration

DATABASE = "databaseName: shop\ndataSources:\n  ds_0: {url: 'sqlite:a.db'}\n"
USERS = "authority:\n  users: [{user: root@%, password: root}]\n"


def _load(section: str) -> object:
    files = {"global.yaml": f"{USERS}admin: {section}\n", "database-shop.yaml": DATABASE}
    return load_configuration(files, lambda kind, name: "0123456789abcdef" if name == "TOKEN" else None).admin


def test_defaults_are_loopback_without_a_port_for_mysql_clients() -> None:
    assert str(_load("{}")) == (
        "AdminSettings(host='127.0.0.1', port=9307, sql_port=None, certificate='', key='', client_ca='')"
    )
    assert load_configuration(
        {"global.yaml": USERS, "database-shop.yaml": DATABASE}, lambda kind, name: None
    ).admin is None  # fmt: skip


def test_the_token_is_a_secret() -> None:
    settings = _load("{token: '${env:TOKEN}', sqlPort: 0}")
    assert "0123" not in str(settings)


@pytest.mark.parametrize(
    ("section", "key", "message"),
    [
        ("{token: short}", "admin.token", "the token has 5 characters"),
        ("{certificate: a.pem}", "admin.certificate", "a certificate and its key belong together"),
        ("{clientCa: a.pem}", "admin.clientCa", "clients show certificates over TLS only"),
        ("{host: 0.0.0.0}", "admin.host", "'0.0.0.0' can be reached by others"),
        ("{host: 10.0.0.1, token: '${env:TOKEN}'}", "admin.host", "'10.0.0.1' can be reached by others"),
        ("{host: 0.0.0.0, certificate: a, key: b}", "admin.host", "'0.0.0.0' can be reached by others"),
        ("{sqlPort: 3308}", "admin.sqlPort", "its password is the token"),
        ("{port: 70000}", "admin.port", "less than or equal"),
    ],
)
def test_mistakes(section: str, key: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as found:
        _load(section)
    [mistake] = [one for one in found.value.mistakes if one.key_path == key]
    assert message in mistake.message


@pytest.mark.parametrize(
    "section",
    [
        "{host: 0.0.0.0, certificate: a, key: b, clientCa: c}",
        "{host: 0.0.0.0, certificate: a, key: b, token: '${env:TOKEN}'}",
        "{host: '::1'}",
    ],
)
def test_what_is_closed_enough(section: str) -> None:
    assert _load(section) is not None
