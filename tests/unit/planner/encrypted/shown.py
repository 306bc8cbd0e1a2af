"""A shop whose users have encrypted columns, by encryptors that write what they do, so that one sees in a statement which value went
where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from dbmesh.model import Catalog, ColumnFamily, ColumnSchema, TableSchema
from dbmesh.planner.cache import PlanCache
from dbmesh.planner.plan import BoundStatement, Call
from dbmesh.planner.planner import Planner
from dbmesh.planner.session_view import SessionValues
from dbmesh.rules.encryption.logic_type import LogicType, read_type
from dbmesh.rules.encryption.rule import EncryptedColumn, EncryptedTable, LikeColumn, StoredColumn
from tests.unit.planner.conftest import make_shop


@dataclass(frozen=True)
class Shown:
    """An encryptor that names itself; with several `keys` a value has a form by each."""

    name: str
    nonce_size: int = 0
    keys: int = 1

    decrypts = True

    def encrypt(self, text: str, nonce: bytes) -> str:
        return f"{self.name}<{text}>"

    def forms(self, text: str) -> tuple[str, ...]:
        return tuple(f"{self.name}{number or ''}<{text}>" for number in range(self.keys))

    def decrypt(self, stored: str) -> str:
        return stored.partition("<")[2][:-1]

    def is_newest(self, stored: str) -> bool:
        return True

    def longest(self, size: int) -> int:
        return 99


class Lower:
    """A digest for LIKE."""

    def digest(self, text: str) -> str:
        return text.lower()

    def pattern(self, pattern: str, escape: str) -> str:
        return pattern.lower()


def kind(text: str) -> LogicType:
    found = read_type(text)
    assert found is not None
    return found


def column(
    name: str,
    cipher: str,
    encryptor: Shown,
    declared: str = "VARCHAR(20)",
    written: str = "",
    **more: Any,
) -> EncryptedColumn:
    stored = StoredColumn(cipher, encryptor, written or encryptor.name)
    return EncryptedColumn(name, kind(declared), stored, **more)


AES, GCM, HASH = Shown("aes"), Shown("gcm", nonce_size=12), Shown("hash")
COLUMNS = (
    column(
        "name",
        "name_c",
        GCM,
        assisted=StoredColumn("name_h", HASH, "hash"),
        like=LikeColumn("name_l", Lower(), "like"),
    ),
    column("mail", "mail", AES),
    column("age", "age_c", AES, "INT"),
    column("note", "note_c", GCM),
    column("phone", "phone_c", AES, plain=True),
)
STORED = ("id", "name_c", "name_h", "name_l", "mail", "age_c", "note_c", "phone", "phone_c", "city")


def _stored_column(name: str, declared: str) -> ColumnSchema:
    family = ColumnFamily.TEXT if "char" in declared or "text" in declared else ColumnFamily.BINARY
    return ColumnSchema(
        name, declared, family, collation="utf8mb4_bin" if "text" in declared else "ascii_bin"
    )


def make_cache(*columns: EncryptedColumn, stored: Mapping[str, str] = MappingProxyType({})) -> PlanCache:
    """Plans over these columns. `stored`: types of actual columns that are no varchar(99)."""
    shop = make_shop()
    schemas = tuple(
        ColumnSchema(name, "bigint", ColumnFamily.INTEGER)
        if name == "id"
        else _stored_column(name, stored.get(name, "varchar(99)"))
        for name in STORED
    )
    tables = {
        **shop.catalog.tables,
        "t_user": TableSchema("t_user", schemas, ("id",), (("mail",),), (("name_h",),)),
    }
    catalog = Catalog(tables, shop.catalog.single_nodes, shop.catalog.views)
    rules = replace(shop.rule_set, encrypted={"t_user": EncryptedTable("t_user", columns or COLUMNS)})
    return PlanCache(Planner(rules, catalog, {"shop": rules}))


CACHE = make_cache()


def bind(sql: str, *parameters: Any, cache: PlanCache = CACHE, keep: bool = False) -> BoundStatement:
    plan, literals = cache.lookup(sql, "shop")
    return plan.bind(Call(literals, SessionValues(), parameters, keep))  # type: ignore[union-attr]


def first(sql: str, *parameters: Any, cache: PlanCache = CACHE) -> str:
    """The text for the first data node."""
    text = bind(sql, *parameters, cache=cache).shots[0].sql.decode()
    return (
        text.replace("t_user_1 AS t_user", "t_user")
        .replace("t_user_0 AS t_user", "t_user")
        .replace("t_user_1", "t_user")
    )
