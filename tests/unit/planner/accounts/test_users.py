"""Statements about accounts are read in MariaDB's spelling and in MySQL's."""

from __future__ import annotations

import pytest

from dbmesh.errors import MeshError
from dbmesh.planner.session_plan import ChangeAccounts, SetRole, ShowCreateUser, ShowGrants
from dbmesh.planner.session_statements import plan_session_statement
from dbmesh.rules.account_statements import (
    CURRENT_ROLE,
    CURRENT_USER,
    AccountStatement,
    AlterUsers,
    CreateRoles,
    CreateUsers,
    Credential,
    DropAccounts,
    GrantPrivileges,
    GrantRoles,
    Level,
    Options,
    RenameUsers,
    RevokeAll,
    RevokePrivileges,
    RevokeRoles,
    SetDefaultRoles,
    SetPassword,
)
from dbmesh.rules.accounts import AccountName, TlsNeed

ANN, BOB, CLERK = AccountName("ann", "%"), AccountName("bob", "10.0.%"), AccountName("clerk", "%")
HASH = "*81F5E21E35407D884A6CD4A731AEBFB6AF209E1B"
SHA = "$A$005$" + "s" * 20 + "d" * 43
UNUSED = (
    "PASSWORD EXPIRE DEFAULT ACCOUNT UNLOCK PASSWORD HISTORY DEFAULT PASSWORD REUSE INTERVAL DEFAULT "
    "PASSWORD REQUIRE CURRENT DEFAULT"
)
NATIVE, SHA2 = "mysql_native_password", "caching_sha2_password"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CREATE USER ann", CreateUsers(((ANN, None),))),
        (
            "create user if not exists `ann` identified by 'x''y', 'bob'@'10.0.%' REQUIRE SSL ACCOUNT LOCK;",
            CreateUsers(
                ((ANN, Credential(plain="x'y")), (BOB, None)),
                Options(TlsNeed(True), True),
                if_not_exists=True,
            ),
        ),
        ("CREATE OR REPLACE USER ann@'%'", CreateUsers(((ANN, None),), or_replace=True)),
        (
            f"CREATE USER ann IDENTIFIED WITH {NATIVE} BY 'x'",
            CreateUsers(((ANN, Credential(NATIVE, plain="x")),)),
        ),
        (
            f"CREATE USER ann IDENTIFIED BY PASSWORD '{HASH.lower()}'",
            CreateUsers(((ANN, Credential(NATIVE, stored=HASH)),)),
        ),
        (
            f"CREATE USER ann IDENTIFIED VIA {SHA2} USING '{SHA}'",
            CreateUsers(((ANN, Credential(SHA2, stored=SHA)),)),
        ),
        (
            f"CREATE USER ann IDENTIFIED WITH '{SHA2}' AS 0x{SHA.encode().hex()}",
            CreateUsers(((ANN, Credential(SHA2, stored=f"0x{SHA.encode().hex()}")),)),
        ),
        (
            f"CREATE USER ann IDENTIFIED VIA {NATIVE} USING PASSWORD('x')",
            CreateUsers(((ANN, Credential(NATIVE, plain="x")),)),
        ),
        (
            f"CREATE USER ann IDENTIFIED WITH '{SHA2}' AS '{SHA}' DEFAULT ROLE `clerk`@`%` REQUIRE NONE {UNUSED}",
            CreateUsers(((ANN, Credential(SHA2, stored=SHA)),), Options(TlsNeed(), False, (CLERK,))),
        ),
        (
            "CREATE USER ann REQUIRE SUBJECT '/CN=a' AND ISSUER '/CN=b' WITH MAX_USER_CONNECTIONS 0",
            CreateUsers(((ANN, None),), Options(TlsNeed(True, True, "/CN=a", "/CN=b"))),
        ),
        (
            "ALTER USER IF EXISTS ann REQUIRE X509",
            AlterUsers(((ANN, None),), Options(TlsNeed(True, True)), if_exists=True),
        ),
        (
            "ALTER USER USER() IDENTIFIED BY 'n' REPLACE 'o'",
            AlterUsers(((CURRENT_USER, Credential(plain="n")),)),
        ),
        ("ALTER USER ann DEFAULT ROLE NONE", AlterUsers(((ANN, None),), Options(default_roles=()))),
        ("DROP USER IF EXISTS ann, bob@'10.0.%'", DropAccounts((ANN, BOB), roles=False, if_exists=True)),
        ("RENAME USER ann TO bob@'10.0.%'", RenameUsers(((ANN, BOB),))),
        ("CREATE ROLE clerk", CreateRoles((CLERK,))),
        ("CREATE ROLE IF NOT EXISTS clerk WITH ADMIN ann", CreateRoles((CLERK,), ANN, if_not_exists=True)),
        ("DROP ROLE clerk", DropAccounts((CLERK,), roles=True)),
        ("SET PASSWORD = PASSWORD('x')", SetPassword(CURRENT_USER, Credential(plain="x"))),
        ("SET PASSWORD FOR ann = 'x'", SetPassword(ANN, Credential(stored="x"))),
        (
            "GRANT SELECT, UPDATE (a, `b c`) ON shop.t TO ann, bob@'10.0.%' WITH GRANT OPTION",
            GrantPrivileges(
                (("SELECT", None), ("UPDATE", ("a", "b c"))),
                Level("shop", "t"),
                ((ANN, None), (BOB, None)),
                option=True,
            ),
        ),
        (
            "GRANT ALL PRIVILEGES ON *.* TO ann IDENTIFIED BY 'x' REQUIRE SSL",
            GrantPrivileges(
                (("ALL PRIVILEGES", None),), Level(), ((ANN, Credential(plain="x")),), tls=TlsNeed(True)
            ),
        ),
        ("GRANT SELECT ON * TO ann", GrantPrivileges((("SELECT", None),), Level(""), ((ANN, None),))),
        (
            "GRANT SELECT ON TABLE t TO ann",
            GrantPrivileges((("SELECT", None),), Level("", "t"), ((ANN, None),)),
        ),
        (
            "GRANT DROP ON `sh\\_op`.* TO ann",
            GrantPrivileges((("DROP", None),), Level("sh\\_op"), ((ANN, None),)),
        ),
        ("REVOKE SELECT ON shop.* FROM ann", RevokePrivileges((("SELECT", None),), Level("shop"), (ANN,))),
        ("REVOKE ALL ON shop.* FROM ann", RevokePrivileges((("ALL", None),), Level("shop"), (ANN,))),
        ("REVOKE ALL PRIVILEGES, GRANT OPTION FROM ann", RevokeAll((ANN,))),
        ("GRANT clerk TO ann WITH ADMIN OPTION", GrantRoles((CLERK,), (ANN,), admin=True)),
        ("GRANT clerk, 'select' TO ann", GrantRoles((CLERK, AccountName("select", "%")), (ANN,))),
        ("REVOKE ADMIN OPTION FOR clerk FROM ann", RevokeRoles((CLERK,), (ANN,), admin_only=True)),
        ("SET DEFAULT ROLE clerk FOR ann", SetDefaultRoles((CLERK,), (ANN,))),
        ("SET DEFAULT ROLE ALL TO ann", SetDefaultRoles(None, (ANN,))),
        ("SET DEFAULT ROLE NONE", SetDefaultRoles((), (CURRENT_USER,))),
    ],
)
def test_changes(text: str, expected: AccountStatement) -> None:
    assert plan_session_statement(text) == ChangeAccounts(expected)


def test_what_is_asked_and_chosen() -> None:
    assert plan_session_statement("SHOW GRANTS FOR CURRENT_ROLE()") == ShowGrants(CURRENT_ROLE)
    assert plan_session_statement("SHOW GRANTS FOR ann USING clerk") == ShowGrants(ANN, (CLERK,))
    assert plan_session_statement("SHOW CREATE USER") == ShowCreateUser()
    assert plan_session_statement("SHOW CREATE USER bob@'10.0.%'") == ShowCreateUser(BOB)
    assert plan_session_statement("SET ROLE NONE") == SetRole("NONE")
    assert plan_session_statement("SET ROLE clerk") == SetRole("", (CLERK,))
    assert plan_session_statement("SET ROLE ALL EXCEPT clerk") == SetRole("ALL", (CLERK,))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("CREATE USER", 1064),
        ("CREATE USER ann IDENTIFIED BY x", 1064),
        ("CREATE USER ann IDENTIFIED BY ?", 1064),
        ("CREATE USER ann IDENTIFIED BY 'x' SOMEHOW", 1064),
        ("CREATE USER ann ACCOUNT", 1064),
        ("CREATE USER ann REQUIRE", 1064),
        ("CREATE USER ann WITH", 1064),
        ("CREATE OR REPLACE USER IF NOT EXISTS ann", 1221),
        ("CREATE USER ''@'%'", 1235),
        (f"CREATE USER {'a' * 129}", 1470),
        (f"CREATE USER ann@'{'a' * 256}'", 1470),
        ("CREATE USER ann@'10.0.0.0/255.0.0.0'", 1235),
        ("CREATE USER ann IDENTIFIED VIA ed25519 USING 'x'", 1524),
        ("CREATE USER ann IDENTIFIED BY PASSWORD 'x'", 1372),
        (f"CREATE USER ann IDENTIFIED WITH {SHA2} AS '{HASH}'", 1372),
        ("CREATE USER ann IDENTIFIED BY RANDOM PASSWORD", 1235),
        ("CREATE USER ann IDENTIFIED BY 'x' RETAIN CURRENT PASSWORD", 1235),
        (f"CREATE USER ann IDENTIFIED VIA {NATIVE} USING '' OR unix_socket", 1235),
        ("CREATE USER ann PASSWORD EXPIRE", 1235),
        ("CREATE USER ann WITH MAX_USER_CONNECTIONS 3", 1235),
        ("CREATE USER ann COMMENT 'x'", 1235),
        ("CREATE USER ann REQUIRE CIPHER 'x'", 1235),
        ("CREATE ROLE NONE", 1959),
        ("GRANT SELECT ON shop.t, shop.u TO ann", 1064),
        ("GRANT SELECT ON shop.* TO ann WITH NOTHING", 1064),
        ("GRANT EXECUTE ON PROCEDURE p TO ann", 1235),
        ("GRANT PROXY ON ann TO bob", 1235),
        ("SET PASSWORD 'x'", 1064),
        ("SET PASSWORD TO RANDOM", 1235),
        ("SET PASSWORD = OLD_PASSWORD('x')", 1235),
    ],
)
def test_what_is_refused(text: str, number: int) -> None:
    with pytest.raises(MeshError) as refused:
        plan_session_statement(text)
    assert refused.value.number == number


def test_assignments_may_follow_a_password() -> None:
    plan = plan_session_statement(f"SET PASSWORD = '{HASH}', sql_log_off = 0")
    assert isinstance(plan, ChangeAccounts)
    assert plan.statement == SetPassword(CURRENT_USER, Credential(stored=HASH))
    assert plan.then is not None
    assert [one.name for one in plan.then.assignments] == ["sql_log_off"]


def test_no_statement_shows_its_password() -> None:
    for text in (
        "CREATE USER ann IDENTIFIED BY 'hush'",
        "GRANT SELECT ON *.* TO ann IDENTIFIED BY 'hush'",
        "SET PASSWORD = 'hush'",
    ):
        assert "hush" not in repr(plan_session_statement(text))
