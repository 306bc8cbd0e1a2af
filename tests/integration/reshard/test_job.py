"""A job from plan to finish under clients that write and read: no error, no wrong answer, every row on both sides."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.chaos.reshard.stage import ReshardStage, open_reshard_stage
from tests.chaos.reshard.writers import Client, going_on, seen_wrong
from tests.plugins.database_server import DatabaseServer
from tests.plugins.processes import wait_until

pytestmark = pytest.mark.integration

ROWS = 2_000


@pytest.fixture(scope="module")
def stage(servers: list[DatabaseServer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReshardStage]:
    """Two sidecars."""
    with open_reshard_stage(servers, tmp_path_factory.mktemp("moving"), rows=ROWS) as made:
        yield made


@contextmanager
def writing(stage: ReshardStage, first: int = 0, clients: int = 6) -> Iterator[list[Client]]:
    """Clients that go on for the block; afterwards none has seen anything wrong."""
    made = [
        Client(number, lambda n=number: stage.connect(n % 2), 7, pause=0.01)  # type: ignore[misc]
        for number in range(first, first + clients)
    ]
    with going_on(made):
        yield made
    assert not seen_wrong(made)


def _held(clients: Sequence[Client]) -> dict[int, tuple[int, int, str]]:
    rows = {id_: row for client in clients for id_, row in client.known.items()}
    return rows | {id_: (id_ // 2 % 4, 0, f"old {id_}") for id_ in range(1, ROWS + 1)}


def test_from_plan_to_finish(stage: ReshardStage) -> None:
    with writing(stage) as clients:
        wait_until(lambda: all(len(client.stalls) > 40 for client in clients), 90, "some statements")
        stage.start()
        status = stage.status()
        assert status["phase"] == "ready", status
        assert status["progress"]["tables"]["item"]["verified"] >= ROWS
        number = status["number"]
        for verb, phase in (
            ("cutover", "reverse double write"),
            ("rollback", "ready"),
            ("cutover", "reverse double write"),
        ):
            stage.reshard(verb)
            assert stage.status()["phase"] == phase
        before = sum(len(client.stalls) for client in clients)
        wait_until(
            lambda: sum(len(client.stalls) for client in clients) > before + 200, 90, "more statements"
        )
    held = _held(clients)
    assert stage.new_rows(number) == held
    assert stage.old_rows(number) == held
    with writing(stage, 10) as clients:
        wait_until(lambda: all(len(client.stalls) > 40 for client in clients), 90, "some statements")
        stage.reshard("finish")
    assert stage.status()["phase"] == "finished"
    assert stage.tables() == [
        {"item_0", "item_1", "item_2", "item_3"} | {"dbmesh_txn"} & names for names in stage.tables()
    ]
    json.loads(stage.reshard("list", "--json"))
