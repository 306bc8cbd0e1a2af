"""Mirroring of one process, put together.

Decides nothing by itself: the recorder chooses and listens, the player runs, the report counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dbmesh.backend.tasks import TaskOwner
from dbmesh.governance.mirroring.player import Player
from dbmesh.governance.mirroring.recorder import Recorder
from dbmesh.governance.mirroring.report import Report
from dbmesh.rules.mirroring import Mirror
from dbmesh.session.mesh import Mesh


def begin_mirroring(
    mesh: Mesh,
    mirrors: Sequence[Mirror],
    tasks: TaskOwner,
    draw: Callable[[], float],
    now: Callable[[], float],
) -> Report:
    """From now on mirror statements of a mesh; what is found is in the report. `draw` gives numbers of [0, 1), `now` seconds since
    1970."""
    report = Report()
    player = Player(mesh, report, tasks, now)
    for one in mirrors:
        report.tally(one.database, one.target)
    recorder = Recorder({one.database: one for one in mirrors}, report, draw, player.play)
    mesh.filters = (*mesh.filters, recorder)
    mesh.keep_commands()
    return report
