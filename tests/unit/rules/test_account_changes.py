"""Accounts after statements about them: nobody gets more than was said, and what was taken is gone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.errors import MeshError
from dbmesh.planner.session_plan import ChangeAccounts
from dbmesh.planner.session_statements import plan_session_statement
from dbmesh.rules.account_changes import Accounts, Changed, apply, reaches
from dbmesh.rules.account_statements import (
    Credential,
    GrantPrivileges,
    GrantRoles,
    Level,
    RevokePrivileges,
    SetDefaultRoles,
)
from dbmesh.rules.account_text import shown_grants, shown_user
from dbmesh.rules.accounts import AccountName, Authority, TlsNeed, User
from dbmesh.rules.grant_text import item_grants, read_level
from dbmesh.rules.privileges import ADMINISTRATOR, Grants, Privilege, Privileges, Target, grant

ANN, BOB, ROOT = AccountName("ann", "%"), AccountName("bob", "h"), AccountName("root", "%")
CLERK, CHIEF, WRITTEN = AccountName("clerk", "%"), AccountName("chief", "%"), AccountName("written", "%")
HASH = "*81F5E21E35407D884A6CD4A731AEBFB6AF209E1B"


def user(name: AccountName, grants: Grants = frozenset(), **more: object) -> User:
    return User(*name, grants=grants, **{"stored": True, "default_roles": frozenset(), **more})  # type: ignore[arg-type]


def world(*users: User) -> Accounts:
    written = (User("root", "%", "x", grants=ADMINISTRATOR), User("written", "%", role=True))
    return {one.account: one for one in (*written, *users)}


def change(accounts: Accounts, *texts: str) -> Changed:
    changed = Changed(accounts)
    for text in texts:
        plan = plan_session_statement(text)
        assert isinstance(plan, ChangeAccounts)
        changed = apply(plan.statement, changed.accounts)
    return changed


def error_of(do: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(MeshError) as raised:
        do()
    return raised.value.number, str(raised.value)


def test_users_come_and_go() -> None:
    made = change(world(), f"CREATE USER ann IDENTIFIED BY PASSWORD '{HASH}', bob@h REQUIRE SSL ACCOUNT LOCK")
    ann = made.accounts[ANN]
    assert (ann.password, ann.stored, ann.locked, ann.tls) == (HASH, True, True, TlsNeed(True))
    assert ann.grants == frozenset()
    assert ann.default_roles == frozenset()
    again = change(made.accounts, "CREATE USER ann, carl")
    assert again.failed == (ANN,)
    assert AccountName("carl", "%") in again.accounts
    assert change(made.accounts, "CREATE USER IF NOT EXISTS ann").notes == (
        (1973, "Can't create user 'ann'@'%'; it already exists"),
    )
    assert change(made.accounts, "CREATE OR REPLACE USER ann").accounts[ANN].password == ""
    altered = change(made.accounts, "ALTER USER ann ACCOUNT UNLOCK", "RENAME USER bob@h TO bea")
    assert not altered.accounts[ANN].locked
    assert AccountName("bea", "%") in altered.accounts
    assert change(altered.accounts, "RENAME USER bea TO ann").failed == (AccountName("bea", "%"),)
    gone = change(altered.accounts, "DROP USER ann, nobody")
    assert ANN not in gone.accounts
    assert gone.failed == (AccountName("nobody", "%"),)
    assert change(gone.accounts, "DROP ROLE IF EXISTS r").notes == (
        (1976, "Can't drop role 'r'; it doesn't exist"),
    )
    assert change(gone.accounts, "ALTER USER nobody ACCOUNT LOCK").failed
    assert error_of(lambda: change(gone.accounts, "SET PASSWORD FOR ann = ''"))[0] == 1133


@pytest.mark.parametrize(
    "text",
    [
        "ALTER USER root ACCOUNT LOCK",
        "DROP USER root",
        "DROP ROLE written",
        "RENAME USER root TO toor",
        "SET PASSWORD FOR root = ''",
        "CREATE OR REPLACE USER root",
        "CREATE OR REPLACE ROLE written",
        "GRANT SELECT ON *.* TO root",
        "GRANT SELECT ON *.* TO written",
        "REVOKE SELECT ON *.* FROM root",
        "REVOKE ALL, GRANT OPTION FROM root",
        "GRANT written TO root",
        "SET DEFAULT ROLE NONE FOR root",
    ],
)
def test_accounts_of_the_configuration_stay_as_they_are_written(text: str) -> None:
    number, sentence = error_of(lambda: change(world(), text))
    assert number == 1235
    assert "which global.yaml names" in sentence


def test_creating_what_the_configuration_names_fails() -> None:
    assert change(world(), "CREATE USER root").failed == (ROOT,)
    assert change(world(), "CREATE ROLE written").failed == (WRITTEN,)


def test_roles() -> None:
    there = change(
        world(), "CREATE USER ann", "CREATE ROLE clerk WITH ADMIN ann", "CREATE ROLE chief"
    ).accounts
    assert there[ANN].roles == there[ANN].administered == {CLERK}
    held = change(
        there, "GRANT clerk TO chief", "GRANT written, chief TO ann", "SET DEFAULT ROLE chief FOR ann"
    )
    assert held.accounts[ANN].default_roles == {CHIEF}
    assert error_of(lambda: change(held.accounts, "GRANT chief TO clerk"))[0] == 1961
    assert error_of(lambda: change(held.accounts, "GRANT chief TO chief"))[0] == 1961
    assert error_of(lambda: change(held.accounts, "GRANT ann TO chief"))[0] == 1959
    assert error_of(lambda: change(held.accounts, "GRANT clerk TO nobody"))[0] == 1133
    assert error_of(lambda: change(held.accounts, "REVOKE clerk FROM bob"))[0] == 1962
    assert error_of(lambda: change(held.accounts, "SET DEFAULT ROLE clerk FOR bob"))[0] == 1959
    admin = change(held.accounts, "REVOKE ADMIN OPTION FOR clerk FROM ann").accounts[ANN]
    assert CLERK in admin.roles
    assert not admin.administered
    dropped = change(held.accounts, "DROP ROLE chief").accounts
    assert dropped[ANN].roles == {CLERK, WRITTEN}
    assert dropped[ANN].default_roles == frozenset()


def test_a_new_role_is_held_by_nobody_who_held_another_of_its_name() -> None:
    # What the configuration once named may linger in an account.
    ann = user(ANN, roles=frozenset({CLERK}), default_roles=frozenset({CLERK}))
    assert change(world(ann), "CREATE ROLE clerk").accounts[ANN].roles == frozenset()
    bob = user(BOB)
    renamed = change(world(ann, bob), "RENAME USER bob@h TO clerk").accounts
    assert renamed[ANN].roles == frozenset()


def test_revoking() -> None:
    there = world(user(ANN))
    held = change(
        there,
        "GRANT ALL ON shop.* TO ann WITH GRANT OPTION",
        "GRANT SELECT, SELECT (a), INSERT (a) ON shop.t TO ann",
    ).accounts
    kept = change(held, "REVOKE SELECT ON shop.t FROM ann").accounts[ANN].grants
    assert (Target("shop", "t", "a"), Privilege.INSERT) in kept
    assert not any(one.table == "t" and privilege is Privilege.SELECT for one, privilege in kept)
    left = change(held, "REVOKE ALL ON shop.* FROM ann").accounts[ANN].grants
    assert {privilege for one, privilege in left if one == Target("shop")} == {Privilege.GRANT_OPTION}
    assert change(held, "REVOKE ALL, GRANT OPTION FROM ann").accounts[ANN].grants == frozenset()
    assert error_of(lambda: change(held, "REVOKE DROP ON other.* FROM ann"))[0] == 1141
    assert error_of(lambda: change(held, "REVOKE DROP ON shop.u FROM ann"))[0] == 1147
    assert error_of(lambda: change(held, "REVOKE DROP ON *.* FROM nobody"))[0] == 1141
    assert error_of(lambda: change(held, "REVOKE ALL, GRANT OPTION FROM nobody"))[0] == 1269


def test_taking_everything_back_takes_super_back() -> None:
    held = change(world(user(ANN)), "GRANT ALL ON *.* TO ann", "GRANT SUPER ON *.* TO ann").accounts
    assert Privileges(held[ANN].grants).administrator
    assert change(held, "REVOKE ALL ON *.* FROM ann").accounts[ANN].grants == frozenset()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("GRANT FILE ON shop.* TO ann", 1221),
        ("GRANT EXECUTE ON shop.t TO ann", 1144),
        ("GRANT DELETE (a) ON shop.t TO ann", 1144),
        ("GRANT NONSENSE ON *.* TO ann", 1235),
        ("GRANT SELECT ON shop.* TO nobody", 1133),
    ],
)
def test_grants_that_cannot_be(text: str, number: int) -> None:
    assert error_of(lambda: change(world(user(ANN)), text))[0] == number


# ---------------------------------------------------------------------------------------------- properties

_NAMES = st.sampled_from(("a", "b`c", "d_e", "ö"))
_TARGETS = st.one_of(
    st.just(Level()),
    st.builds(Level, st.sampled_from(("shop", "sh\\_op", "s%", "x`y"))),
    st.builds(Level, st.sampled_from(("shop", "x`y")), _NAMES),
)
_WORDS = st.sampled_from(sorted(privilege.value for privilege in Privilege))


@st.composite
def _held(draw: st.DrawFn) -> tuple[Level, str, tuple[str, ...] | None, Grants]:
    """What can be granted, and what that gives."""
    level = draw(_TARGETS)
    target = read_level(level)
    columns = None
    if level.table is not None and draw(st.booleans()):
        columns = tuple(sorted(draw(st.sets(_NAMES, min_size=1))))
        word = draw(st.sampled_from(("SELECT", "INSERT", "UPDATE", "REFERENCES")))
    else:
        word = draw(_WORDS.filter(lambda one: Privilege(one) in target.grantable))
    return level, word, columns, item_grants(word, columns, target)


@given(st.lists(_held(), max_size=6), _held())
def test_grant_and_revoke_leave_what_was(
    before: list[tuple[Level, str, tuple[str, ...] | None, Grants]],
    one: tuple[Level, str, tuple[str, ...] | None, Grants],
) -> None:
    level, word, columns, given_ = one
    grants: Grants = frozenset().union(*(held for *_, held in before))
    # A privilege on a table is taken back with those on its columns.
    about = {(target._replace(column=None), privilege) for target, privilege in given_}
    if columns is None:
        grants = frozenset((t, p) for t, p in grants if (t._replace(column=None), p) not in about)
    grants -= given_
    there = world(user(ANN, grants))
    items = ((word, columns),)
    granted = apply(GrantPrivileges(items, level, ((ANN, None),)), there)
    assert granted.accounts[ANN].grants == grants | given_
    revoked = apply(RevokePrivileges(items, level, (ANN,)), granted.accounts)
    assert revoked.accounts == there


@pytest.mark.parametrize("mariadb", [True, False])
@given(
    held=st.lists(_held(), max_size=6),
    roles=st.sets(st.sampled_from((CLERK, CHIEF))),
    admin=st.booleans(),
    tls=st.sampled_from(
        (TlsNeed(), TlsNeed(True), TlsNeed(True, True), TlsNeed(True, True, "/CN=a'b", "\\"))
    ),
    locked=st.booleans(),
    password=st.sampled_from(("", HASH, "$A$005$" + "s" * 63)),
)
def test_what_is_shown_makes_the_same_account(
    mariadb: bool,
    held: list[tuple[Level, str, tuple[str, ...] | None, Grants]],
    roles: set[AccountName],
    admin: bool,
    tls: TlsNeed,
    locked: bool,
    password: str,
) -> None:
    grants: Grants = frozenset().union(*(one for *_, one in held))
    plugin = "caching_sha2_password" if password[:1] == "$" else "mysql_native_password" if password else None
    ann = user(
        ANN,
        grants,
        password=password,
        plugin=plugin,
        roles=frozenset(roles),
        administered=frozenset(roles) if admin else frozenset(),
        default_roles=frozenset(roles),
        tls=tls,
        locked=locked,
    )
    there = world(user(CLERK, role=True), user(CHIEF, role=True))
    lines = [shown_user(ann, mariadb=mariadb)]
    lines += shown_grants(Authority((*there.values(), ann)), ann, (), mariadb=mariadb)
    # Roles are granted before one of them can be the default.
    made = change(there, *lines).accounts[ANN]
    if made.plugin is None or not made.password:
        made = user(ANN, made.grants, roles=made.roles, administered=made.administered,
                    default_roles=made.default_roles, tls=made.tls, locked=made.locked, plugin=plugin)  # fmt: skip
    assert made == ann


_STATEMENTS = st.one_of(
    st.sampled_from(
        (
            "CREATE ROLE clerk", "CREATE ROLE chief", "DROP ROLE clerk", "DROP ROLE chief", "CREATE USER ann",
            "DROP USER ann", "CREATE OR REPLACE ROLE clerk", "RENAME USER ann TO bob", "REVOKE ALL, GRANT OPTION FROM ann",
            "CREATE ROLE clerk WITH ADMIN ann", "CREATE USER bob DEFAULT ROLE clerk",
        )
    ).map(lambda text: plan_session_statement(text).statement),  # type: ignore[union-attr]
    st.builds(
        GrantRoles,
        st.tuples(st.sampled_from((CLERK, CHIEF, WRITTEN))),
        st.tuples(st.sampled_from((ANN, CLERK, CHIEF, ROOT))),
        st.booleans(),
    ),
    st.builds(SetDefaultRoles, st.none(), st.tuples(st.just(ANN))),
)  # fmt: skip


@given(st.lists(_STATEMENTS, max_size=20))
def test_roles_that_are_held_are_there_and_never_hold_themselves(statements: list[object]) -> None:
    accounts = world()
    written = dict(accounts)
    for statement in statements:
        try:
            accounts = apply(statement, accounts).accounts  # type: ignore[arg-type]
        except MeshError:
            continue
        for one in accounts.values():
            assert all(role in accounts for role in one.roles)
            assert one.administered <= one.roles
            assert (one.default_roles or frozenset()) <= one.roles
            assert not reaches(accounts, one.account, one.account)
        assert {name: accounts.get(name) for name in written} == written


@given(st.data())
def test_who_may_grant_holds_it_everywhere_it_is_granted(data: st.DataObject) -> None:
    patterns = st.text("ab_%\\", min_size=1, max_size=3)
    held = Privileges(grant(Target(data.draw(patterns)), (Privilege.SELECT,)))
    wanted = Target(data.draw(patterns))
    if held.may_grant(Privilege.SELECT, wanted):
        given_ = Privileges(grant(wanted, (Privilege.SELECT,)))
        name = data.draw(st.text("ab_%", min_size=1, max_size=4))
        assert held.may(Privilege.SELECT, name) or not given_.may(Privilege.SELECT, name)


def test_passwords_are_not_shown() -> None:
    assert "hush" not in repr(Credential(plain="hush")) + repr(Credential(stored="hush"))
    written = User("app", "%", "hush")
    assert (
        shown_user(written, mariadb=True) == "CREATE USER `app`@`%` IDENTIFIED BY PASSWORD '<in global.yaml>'"
    )
    assert "hush" not in shown_user(written, mariadb=False)
