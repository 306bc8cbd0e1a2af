"""Who may change which accounts: nobody gives what he does not hold, nor takes over who holds more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError
from dbmesh.planner.session_plan import ChangeAccounts
from dbmesh.planner.session_statements import plan_session_statement
from dbmesh.rules.account_changes import Accounts, apply
from dbmesh.rules.accounts import AccountName, Authority, User
from dbmesh.rules.grant_text import read_grant
from dbmesh.rules.privileges import ADMINISTRATOR, Grants, Privileges
from dbmesh.session.authority.account_names import named
from dbmesh.session.authority.account_rights import check_accounts, check_statement
from dbmesh.session.authority.rights import renew

CLERK, CHIEF = AccountName("clerk", "%"), AccountName("chief", "%")
USERS = (
    User("root", "%", grants=ADMINISTRATOR),
    User("chief", "%", role=True, grants=read_grant("SUPER", "*.*")),
    User("clerk", "%", role=True),
    User("boss", "%", stored=True, roles=frozenset({CHIEF}), default_roles=frozenset()),
    User("ann", "%", stored=True),
)


def session_of(actor: User, *, masked: bool = False) -> Any:
    plans = SimpleNamespace(has_masks=masked, seen_by=lambda principals: None)
    mesh = SimpleNamespace(
        authority=Authority((*USERS, actor)), databases={"shop": SimpleNamespace(plans=plans)}, product=None
    )
    session = cast(
        "Any",
        SimpleNamespace(
            mesh=mesh,
            account=f"{actor.name}@{actor.host}",
            user_name=actor.name,
            roles=actor.roles,
            database="shop",
        ),
    )
    renew(session)
    return session


def try_as(session: Any, text: str) -> int:
    """The error's number, 0 for none."""
    plan = plan_session_statement(text)
    assert isinstance(plan, ChangeAccounts)
    try:
        change = named(session, plan.statement)
        check_statement(session, change)
        check_accounts(session, change, session.mesh.authority.users)
    except MeshError as error:
        return error.number
    return 0


@pytest.mark.parametrize(
    ("privileges", "on", "text", "number"),
    [
        ("CREATE USER", "*.*", "CREATE USER new", 0),
        ("CREATE USER", "*.*", "DROP USER ann", 0),
        ("CREATE USER", "*.*", "ALTER USER ann IDENTIFIED BY 'x'", 0),
        # Who administers, even by a role that is not active, is out of reach.
        ("CREATE USER", "*.*", "ALTER USER boss IDENTIFIED BY 'x'", 1227),
        ("CREATE USER", "*.*", "SET PASSWORD FOR boss = ''", 1227),
        ("CREATE USER", "*.*", "DROP USER boss", 1227),
        ("CREATE USER", "*.*", "RENAME USER boss TO bossy", 1227),
        ("CREATE USER", "*.*", "CREATE OR REPLACE USER boss", 1227),
        ("CREATE USER", "*.*", "DROP ROLE chief", 1227),
        ("CREATE USER", "*.*", "REVOKE ALL, GRANT OPTION FROM boss", 1227),
        ("CREATE USER, GRANT OPTION", "*.*", "GRANT USAGE ON *.* TO boss IDENTIFIED BY 'x'", 1227),
        ("CREATE USER, GRANT OPTION", "*.*", "GRANT USAGE ON *.* TO boss REQUIRE NONE", 1227),
        # Roles are given by who administers them.
        ("CREATE USER, GRANT OPTION", "*.*", "GRANT clerk TO ann", 1698),
        ("CREATE USER, GRANT OPTION", "*.*", "CREATE USER new DEFAULT ROLE chief", 1698),
        ("CREATE USER, GRANT OPTION", "*.*", "ALTER USER ann DEFAULT ROLE chief", 1698),
        ("CREATE USER", "*.*", "SET DEFAULT ROLE NONE FOR ann", 0),
        ("SELECT", "*.*", "SET DEFAULT ROLE NONE FOR ann", 1044),
        # What one does not hold, or not there, one does not give.
        ("ALL, GRANT OPTION", "*.*", "GRANT ALL ON *.* TO ann", 0),
        ("ALL, GRANT OPTION", "*.*", "GRANT SUPER ON *.* TO ann", 1045),
        ("ALL, GRANT OPTION", "*.*", "REVOKE ALL ON *.* FROM ann", 1045),
        ("SELECT, GRANT OPTION", "shop.*", "GRANT SELECT ON * TO ann", 0),
        ("SELECT, GRANT OPTION", "shop.*", "GRANT SELECT (a) ON t TO ann", 0),
        ("SELECT, GRANT OPTION", "shop.*", "GRANT SELECT, INSERT ON shop.t TO ann", 1142),
        ("SELECT, GRANT OPTION", "shop.*", "GRANT SELECT ON *.* TO ann", 1045),
        ("SELECT, GRANT OPTION", "shop.*", "GRANT SELECT ON `s%`.* TO ann", 1044),
        ("SELECT, GRANT OPTION", "`s%`.*", "GRANT SELECT ON `s%`.* TO ann", 0),
        ("SELECT, GRANT OPTION", "`s%`.*", "GRANT SELECT ON shop.* TO ann", 0),
        ("SELECT, GRANT OPTION", "`sho_`.*", "GRANT SELECT ON `sho%`.* TO ann", 1044),
        ("SELECT", "shop.*", "GRANT SELECT ON shop.* TO ann", 1044),
        ("SELECT (a), GRANT OPTION", "shop.t", "GRANT SELECT (a) ON shop.t TO ann", 1142),
        ("SELECT, GRANT OPTION", "shop.t", "GRANT SELECT (a) ON shop.t TO ann", 0),
        ("SELECT, GRANT OPTION", "shop.t", "GRANT SELECT ON shop.* TO ann", 1044),
        ("SELECT, GRANT OPTION", "shop.*", "GRANT SELECT ON shop.* TO new IDENTIFIED BY 'x'", 1410),
        ("SELECT, GRANT OPTION", "shop.*", "GRANT SELECT ON shop.* TO ann IDENTIFIED BY 'x'", 1044),
        ("SELECT", "shop.*", "SET PASSWORD = ''", 0),
        ("SELECT", "shop.*", "ALTER USER actor IDENTIFIED BY 'x'", 0),
        ("SELECT", "shop.*", "ALTER USER actor IDENTIFIED BY 'x' REQUIRE NONE", 1227),
        ("SELECT", "shop.*", "ALTER USER actor IDENTIFIED BY 'x', ann IDENTIFIED BY 'x'", 1227),
        ("SELECT", "shop.*", "ALTER USER actor ACCOUNT UNLOCK", 1227),
    ],
)
def test_what_is_needed(privileges: str, on: str, text: str, number: int) -> None:
    if "(a), " in privileges:
        grants = read_grant("SELECT (a)", on)
    else:
        grants = frozenset().union(*(read_grant(one, on) for one in privileges.split(", ")))
    assert try_as(session_of(User("actor", "%", grants=grants, stored=True)), text) == number


def test_who_administers_a_role_gives_it() -> None:
    actor = User(
        "actor",
        "%",
        roles=frozenset({CLERK}),
        administered=frozenset({CLERK}),
        default_roles=frozenset(),
        stored=True,
    )
    session = session_of(actor)
    assert try_as(session, "GRANT clerk TO ann") == 0
    assert try_as(session, "REVOKE clerk FROM ann") == 0
    assert try_as(session, "GRANT clerk, chief TO ann") == 1698


def test_readers_of_masks_change_their_own_password_alone() -> None:
    grants = read_grant("ALL", "*.*") | read_grant("GRANT OPTION", "*.*")
    session = session_of(User("actor", "%", grants=grants, stored=True), masked=True)
    for text in ("CREATE USER new", "GRANT SELECT ON *.* TO ann", "CREATE ROLE new", "SET DEFAULT ROLE NONE"):
        assert try_as(session, text) == 1235
    assert try_as(session, "SET PASSWORD = ''") == 0


def test_an_account_that_is_gone_may_do_nothing() -> None:
    session = session_of(User("actor", "%", grants=ADMINISTRATOR))
    session.mesh.authority = Authority(USERS)
    renew(session)
    assert try_as(session, "CREATE USER new") == 1227
    assert try_as(session, "GRANT SELECT ON *.* TO ann") == 1045


def test_roles_that_are_not_active_are_masked_for_too() -> None:
    session = session_of(User("actor", "%", roles=frozenset({CLERK}), stored=True))
    session.roles = frozenset()
    renew(session)
    assert session.principals == {"actor", "clerk"}


# ---------------------------------------------------------------------------------------------- nobody gets more than there is

_POOL = [
    *(f"CREATE USER {name} IDENTIFIED BY 'x'" for name in ("eve", "chief", "boss", "ann")),
    *(f"CREATE OR REPLACE USER {name}" for name in ("eve", "ann", "boss")),
    *(f"DROP USER {name}" for name in ("eve", "ann", "boss", "bob")),
    *(f"ALTER USER {name} IDENTIFIED BY 'y'" for name in ("eve", "boss", "ann")),
    *(f"RENAME USER {before} TO {after}" for before, after in (("boss", "eve"), ("eve", "boss"), ("ann", "chief"))),
    *(f"CREATE ROLE {name}" for name in ("new", "chief", "clerk")),
    *(f"CREATE OR REPLACE ROLE {name} WITH ADMIN eve" for name in ("new", "chief", "clerk")),
    *(f"DROP ROLE {name}" for name in ("new", "chief", "clerk")),
    *(
        f"GRANT {role} TO {name} WITH ADMIN OPTION"
        for role in ("new", "chief", "clerk")
        for name in ("eve", "ann", "new", "clerk", "chief", "boss")
    ),
    *(f"CREATE OR REPLACE USER eve DEFAULT ROLE {role}" for role in ("new", "chief", "clerk")),
    *(f"ALTER USER eve DEFAULT ROLE {role}" for role in ("new", "chief", "clerk")),
    *(
        f"GRANT {what} TO {name}"
        for what in (
            "SELECT ON shop.*", "SELECT ON *.*", "SELECT ON `s%`.*", "ALL ON shop.*", "ALL ON *.*", "SUPER ON *.*", "INSERT ON shop.t",
            "SELECT (a) ON shop.t", "CREATE USER ON *.*", "GRANT OPTION ON *.*", "DELETE ON shop.*", "USAGE ON *.*",
        )
        for name in ("eve", "new", "boss IDENTIFIED BY 'z'", "chief", "eve IDENTIFIED BY 'z'")
    ),
    *(f"GRANT SELECT ON shop.* TO {name} WITH GRANT OPTION" for name in ("eve", "new", "boss")),
    *(f"REVOKE {what} FROM boss" for what in ("chief", "SUPER ON *.*", "ALL, GRANT OPTION", "ALL ON *.*")),
]  # fmt: skip


def _effective(accounts: Accounts, name: AccountName) -> Grants:
    """All that an account can have active."""
    return Authority(accounts.values()).grants(accounts[name], accounts[name].roles)


@given(
    st.lists(
        st.tuples(st.sampled_from(("ann", "bob", "dora", "eve", "new")), st.sampled_from(_POOL)), max_size=25
    )
)
def test_no_statements_lead_to_more_than_the_accounts_without_super_hold(
    steps: list[tuple[str, str]],
) -> None:
    boss = AccountName("boss", "%")
    users = (
        User("ann", "%", grants=read_grant("SELECT, GRANT OPTION", "shop.*"), stored=True),
        User("bob", "%", grants=read_grant("CREATE USER", "*.*"), stored=True),
        User("dora", "%", roles=frozenset({CLERK}), administered=frozenset({CLERK}), stored=True),
        User("clerk", "%", role=True, grants=read_grant("DELETE", "shop.*"), stored=True),
        User("chief", "%", role=True, grants=read_grant("SUPER", "*.*"), stored=True),
        User("boss", "%", "*secret", stored=True, roles=frozenset({CHIEF}), default_roles=frozenset()),
    )
    accounts: Accounts = {one.account: one for one in users}
    outside = {boss, CHIEF}
    total = Privileges(
        frozenset().union(*(_effective(accounts, one) for one in accounts if one not in outside))
    )
    for actor, text in steps:
        user = accounts.get(AccountName(actor, "%"))
        if user is None or user.role:
            continue
        session = session_of(user)
        session.mesh.authority = Authority(accounts.values())
        session.roles = user.roles
        renew(session)
        plan = plan_session_statement(text)
        assert isinstance(plan, ChangeAccounts)
        try:
            change = named(session, plan.statement)
            check_statement(session, change)
            check_accounts(session, change, accounts)
            accounts = apply(change, accounts).accounts
        except MeshError:
            continue
        assert accounts[boss].password == "*secret"
        assert CHIEF in accounts[boss].roles
        for name in accounts.keys() - outside:
            for target, privilege in _effective(accounts, name):
                assert total.may_grant(privilege, target), (name, target, privilege)
