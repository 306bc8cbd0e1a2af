"""SQLAlchemy 2: core, ORM and reflection on sharded tables."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests.plugins.fix_mesh import Shop, Target

pytestmark = pytest.mark.integration


class Base(DeclarativeBase):
    """The mapped tables."""


class User(Base):
    """A row of t_user."""

    __tablename__ = "t_user"
    user_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(sa.String(64))
    email: Mapped[str | None] = mapped_column(sa.String(120))
    country: Mapped[str | None] = mapped_column(sa.CHAR(2))
    balance: Mapped[Decimal] = mapped_column(sa.Numeric(12, 2), default=Decimal(0))


class Order(Base):
    """A row of t_order."""

    __tablename__ = "t_order"
    order_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    user_id: Mapped[int] = mapped_column(sa.BigInteger)
    status: Mapped[str] = mapped_column(sa.String(16))
    amount: Mapped[Decimal] = mapped_column(sa.Numeric(10, 2))
    created: Mapped[datetime.datetime | None]


DRIVERS = ["pymysql", "mysqldb", "mysqlconnector"]


@pytest.fixture(params=DRIVERS)
def engine(request: pytest.FixtureRequest, target: Target) -> Iterator[sa.Engine]:
    """An engine on each driver."""
    options: dict[str, Any] = {"use_pure": True} if request.param == "mysqlconnector" else {}
    made = sa.create_engine(
        sa.URL.create(
            f"mysql+{request.param}", target.user, target.password, target.host, target.port, target.database
        ),
        connect_args=options,
    )
    yield made
    made.dispose()


def test_core_writes_reads_and_pages(engine: sa.Engine, fresh_shop: Shop) -> None:
    users = User.__table__
    with engine.begin() as connection:
        connection.execute(sa.insert(users).values(user_id=1301, name="core", balance=Decimal("1.10")))
    with engine.begin() as connection:
        changed = connection.execute(sa.update(users).where(users.c.user_id == 1301).values(name="Core"))
        assert changed.rowcount == 1
    with engine.connect() as connection:
        found = connection.execute(
            sa.select(users.c.name, users.c.balance).where(users.c.user_id == 1301)
        ).one()
        assert tuple(found) == ("Core", Decimal("1.10"))
        orders = Order.__table__
        pages = [
            connection.execute(
                sa.select(orders.c.order_id).order_by(orders.c.order_id).limit(50).offset(start)
            ).scalars()
            for start in range(0, 250, 50)
        ]
        assert [key for page in pages for key in page] == list(range(1, 241))
    with engine.begin() as connection:
        assert connection.execute(sa.delete(users).where(users.c.user_id == 1301)).rowcount == 1


def test_the_orm_writes_reads_changes_and_deletes(engine: sa.Engine, fresh_shop: Shop) -> None:
    with Session(engine) as session:
        session.add(User(user_id=1302, name="orm", email="o@example.org", country="FR"))
        session.commit()
        user = session.get_one(User, 1302)
        assert (user.name, user.balance) == ("orm", Decimal("0.00"))
        user.name = "ORM"
        session.commit()
        assert session.scalars(sa.select(User.name).where(User.user_id == 1302)).one() == "ORM"
        session.delete(user)
        session.commit()
        assert session.get(User, 1302) is None


def test_the_orm_writes_many_rows_on_all_shards(engine: sa.Engine, fresh_shop: Shop) -> None:
    keys = range(1310, 1322)
    with Session(engine) as session:
        session.add_all(User(user_id=key, name=f"many {key % 3}") for key in keys)
        session.commit()
        mine = User.user_id.between(keys[0], keys[-1])
        session.execute(sa.update(User).where(mine, User.name == "many 1").values(balance=7))
        session.execute(sa.delete(User).where(mine, User.name == "many 2"))
        session.commit()
        found = session.execute(
            sa.select(User.user_id, User.balance).where(mine).order_by(User.user_id)
        ).all()
    assert [tuple(row) for row in found] == [
        (key, Decimal(7 if key % 3 == 1 else 0)) for key in keys if key % 3 != 2
    ]


def test_the_orm_pages(engine: sa.Engine, shop: Shop) -> None:
    with Session(engine) as session:
        pages = [
            session.scalars(sa.select(Order).order_by(Order.order_id).limit(60).offset(start)).all()
            for start in range(0, 240, 60)
        ]
    assert [order.order_id for page in pages for order in page] == list(range(1, 241))


def test_the_orm_rolls_back(engine: sa.Engine, fresh_shop: Shop) -> None:
    with Session(engine) as session:
        session.add(User(user_id=1303, name="gone"))
        session.flush()
        session.rollback()
        assert session.get(User, 1303) is None


def test_aggregates_group_over_all_shards(engine: sa.Engine, shop: Shop) -> None:
    statement = (
        sa.select(Order.status, sa.func.count(), sa.func.sum(Order.amount))
        .group_by(Order.status)
        .order_by(Order.status)
    )
    with Session(engine) as session:
        rows = [tuple(row) for row in session.execute(statement)]
    assert rows == shop.plain_server.execute(
        f"USE {shop.plain.database}",
        "SELECT status, COUNT(*), SUM(amount) FROM t_order GROUP BY status ORDER BY status",
    )


def test_integrity_errors_are_integrity_errors(engine: sa.Engine, fresh_shop: Shop) -> None:
    with Session(engine) as session:
        session.add(User(user_id=1, name="twice"))
        with pytest.raises(sa.exc.IntegrityError):
            session.commit()


def test_reflection_sees_one_server(engine: sa.Engine, shop: Shop) -> None:
    place = shop.plain
    plain = sa.create_engine(
        sa.URL.create("mysql+pymysql", place.user, place.password, place.host, place.port, place.database)
    )
    try:
        through, direct = sa.inspect(engine), sa.inspect(plain)
        assert sorted(through.get_table_names()) == sorted(direct.get_table_names())
        for table in direct.get_table_names():
            assert [(c["name"], str(c["type"]), c["nullable"]) for c in through.get_columns(table)] == [
                (c["name"], str(c["type"]), c["nullable"]) for c in direct.get_columns(table)
            ]
            assert through.get_pk_constraint(table) == direct.get_pk_constraint(table)
            assert sorted(through.get_indexes(table), key=str) == sorted(direct.get_indexes(table), key=str)
        assert through.has_table("t_order")
        assert not through.has_table("t_order_0")
    finally:
        plain.dispose()
