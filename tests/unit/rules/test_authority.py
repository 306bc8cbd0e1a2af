"""Users, their hosts, passwords and databases."""

import pytest

from dbmesh.rules.accounts import User
from dbmesh.rules.authority import build_users, check_tls
from dbmesh.rules.models import AuthoritySection
from dbmesh.rules.privileges import ADMINISTRATOR, OF_DATABASE, PERMITTED, Target, grant
from dbmesh.rules.source import SourceFile


def build(**section: object) -> tuple[tuple[User, ...], list[str]]:
    source = SourceFile("global.yaml")
    users = build_users(source, AuthoritySection.model_validate(section), lambda kind, name: None)
    return users, [mistake.message for mistake in source.mistakes]


def permitted(mappings: str, **more: str) -> dict[str, object]:
    return {"type": "DATABASE_PERMITTED", "props": {"user-database-mappings": mappings, **more}}


def test_names_and_hosts() -> None:
    users, messages = build(users=[{"user": "a"}, {"user": "b@10.%"}, {"user": "c@"}, {"user": "d@x@h"}])
    assert [(user.name, user.host) for user in users] == [("a", "%"), ("b", "10.%"), ("c", "%"), ("d@x", "h")]
    assert not messages
    assert all(user.grants == PERMITTED for user in users)


def test_authentication_methods() -> None:
    users, messages = build(
        users=[{"user": "a", "authenticationMethodName": "caching_sha2_password"}, {"user": "b"}],
        authenticators={"native": {"type": "mysql_native_password"}},
        defaultAuthenticator="native",
    )
    assert [user.plugin for user in users] == ["caching_sha2_password", "mysql_native_password"]
    assert not messages


def test_permitted_databases() -> None:
    users, messages = build(
        users=[{"user": "root"}, {"user": "a@h"}, {"user": "b"}, {"user": "c", "admin": True}],
        privilege={
            "type": "DATABASE_PERMITTED",
            "props": {"user-database-mappings": "root=*, a@h=x,a@h=Y_1"},
        },
    )
    both = grant(Target("x"), OF_DATABASE) | grant(Target("y\\_1"), OF_DATABASE)
    assert [user.grants for user in users] == [PERMITTED, both, frozenset(), ADMINISTRATOR]
    assert not messages


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "no user can log in"),
        ({"users": [{"user": "a"}, {"user": "a@%"}]}, "written twice"),
        ({"users": [{"user": "a", "password": "*" + "g" * 40}]}, "not a native password hash"),
        ({"users": [{"user": "a"}], "privilege": {"type": "SOME"}}, "unknown privilege type 'SOME'"),
        ({"users": [{"user": "a"}], "privilege": {"type": "DATABASE_PERMITTED"}}, "is missing"),
        (
            {"users": [{"user": "a", "authenticationMethodName": "md5"}]},
            "unknown authentication method 'md5'",
        ),
        ({"users": [{"user": "a"}], "privilege": permitted("b=shop")}, "user 'b@%' is not among the users"),
        ({"users": [{"user": "a"}], "privilege": permitted("a")}, "'a' has no '='"),
        (
            {"users": [{"user": "a"}], "privilege": permitted("a=*", mapping="a")},
            "unknown property 'mapping'",
        ),
        ({"users": [{"user": "a", "password": "${env:NONE}"}]}, "environment variable 'NONE' is not set"),
    ],
)
def test_mistakes(section: dict[str, object], message: str) -> None:
    assert message in build(**section)[1][0]


def test_a_password_is_not_shown() -> None:
    users, _ = build(users=[{"user": "a", "password": "hidden"}])
    assert "hidden" not in repr(users)


@pytest.mark.parametrize(
    ("user", "enabled", "authority", "expected"),
    [
        (
            {"requireTls": True},
            False,
            "",
            "requireTls: nobody can log in to 'ann': it requires TLS, which is not served",
        ),
        (
            {"certificate": {}},
            False,
            "ca.pem",
            "certificate: nobody can log in to 'ann': it requires TLS, which is not",
        ),
        (
            {"certificate": {}},
            True,
            "",
            "certificate: nobody can log in to 'ann': no client certificate is asked for",
        ),
        ({"requireTls": True}, True, "", ""),
        ({"requireTls": False}, False, "", ""),
        ({"certificate": {}}, True, "ca.pem", ""),
    ],
)
def test_what_accounts_ask_of_tls_is_served(
    user: dict[str, object], enabled: bool, authority: str, expected: str
) -> None:
    source = SourceFile("global.yaml")
    properties = {"proxy-frontend-ssl-enabled": enabled, "proxy-frontend-ssl-ca": authority}
    section = AuthoritySection.model_validate({"users": [{"user": "root"}, {"user": "ann", **user}]})
    check_tls(source, section, properties)
    told = [f"{mistake.key_path}: {mistake.message}" for mistake in source.mistakes]
    if expected:
        assert len(told) == 1
        assert told[0].startswith(f"authority.users[1].{expected}")
        assert source.mistakes[0].fix
    else:
        assert told == []
