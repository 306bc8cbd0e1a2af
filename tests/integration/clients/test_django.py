"""Django's ORM on sharded tables, on the driver Django itself asks for (mysqlclient)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connections, models, transaction
from django.db.models import Avg, Count, Sum

from tests.plugins.django_settings import configure
from tests.plugins.fix_mesh import Shop, Target

pytestmark = pytest.mark.integration

configure()


class User(models.Model):
    """A row of t_user."""

    user_id = models.BigIntegerField(primary_key=True)
    name = models.CharField(max_length=64)
    email = models.CharField(max_length=120, null=True)  # noqa: RUF100, DJ001
    country = models.CharField(max_length=2, null=True)
    balance = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))

    class Meta:
        app_label = "shop"
        db_table = "t_user"
        managed = False


class Order(models.Model):
    """A row of t_order."""

    order_id = models.BigIntegerField(primary_key=True)
    user_id = models.BigIntegerField()
    status = models.CharField(max_length=16)
    amount = models.DecimalField(max_digits=10, decimal_places=2)

    class Meta:
        app_label = "shop"
        db_table = "t_order"
        managed = False


@pytest.fixture(autouse=True)
def database(target: Target) -> Iterator[Any]:
    """Points Django's connection at the target, and closes it afterwards."""
    connection = connections["default"]
    connection.close()
    connection.settings_dict.update(
        HOST=target.host,
        PORT=str(target.port),
        USER=target.user,
        PASSWORD=target.password,
        NAME=target.database,
    )
    yield connection
    connection.close()


def test_create_read_update_delete(fresh_shop: Shop) -> None:
    User.objects.create(user_id=1401, name="django", balance=Decimal("3.50"))
    user = User.objects.get(user_id=1401)
    assert (user.name, user.balance) == ("django", Decimal("3.50"))
    user.name = "Django"
    user.save()
    assert User.objects.filter(pk=1401).update(balance=4) == 1
    assert User.objects.values_list("name", "balance").get(pk=1401) == ("Django", Decimal("4.00"))
    assert user.delete()[0] == 1
    assert not User.objects.filter(pk=1401).exists()


def test_slices_page_through_all_shards(shop: Shop) -> None:
    keys = Order.objects.order_by("order_id").values_list("order_id", flat=True)
    assert [key for start in range(0, 240, 60) for key in keys[start : start + 60]] == list(range(1, 241))


def test_aggregates(shop: Shop) -> None:
    totals = Order.objects.aggregate(n=Count("*"), total=Sum("amount"), mean=Avg("amount"))
    expected = shop.plain_server.execute(
        "USE shop", "SELECT COUNT(*), SUM(amount), AVG(amount) FROM t_order"
    )[0]
    assert (totals["n"], totals["total"]) == expected[:2]
    assert Decimal(totals["mean"]) == expected[2]
    by_status = Order.objects.values_list("status").annotate(n=Count("*")).order_by("status")
    assert list(by_status) == shop.plain_server.execute(
        "USE shop", "SELECT status, COUNT(*) FROM t_order GROUP BY status ORDER BY status"
    )


def test_atomic_commits_and_rolls_back(fresh_shop: Shop) -> None:
    with transaction.atomic():
        User.objects.create(user_id=1404, name="lost")
        transaction.set_rollback(True)
    assert not User.objects.filter(pk=1404).exists()
    with transaction.atomic():
        User.objects.create(user_id=1404, name="kept")
        with transaction.atomic():  # a savepoint
            User.objects.filter(pk=1404).update(name="nested")
    assert User.objects.get(pk=1404).name == "nested"


def test_bulk_create_splits_over_the_shards(fresh_shop: Shop) -> None:
    User.objects.bulk_create(User(user_id=n, name=f"bulk {n}") for n in range(1500, 1540))
    assert User.objects.filter(user_id__in=range(1500, 1540)).count() == 40
    assert User.objects.filter(user_id__gte=1500, user_id__lt=1540).delete()[0] == 40


def test_errors_arrive_as_the_classes_users_catch(fresh_shop: Shop) -> None:
    with pytest.raises(IntegrityError):
        User.objects.create(user_id=1, name="twice")
    with pytest.raises(DatabaseError), connections["default"].cursor() as cursor:
        cursor.execute("SELECT * FROM no_such_table")


def test_introspection_speaks_of_logic_tables(database: Any, shop: Shop) -> None:
    names = database.introspection.table_names()
    assert {"t_user", "t_order", "t_config"} <= set(names)
    assert "t_order_0" not in names
    with database.cursor() as cursor:
        columns = [column.name for column in database.introspection.get_table_description(cursor, "t_order")]
    assert columns == ["order_id", "user_id", "status", "amount", "qty", "note", "created"]
