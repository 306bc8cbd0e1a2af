"""The admin API over HTTP: tables, actions, health and metrics.

Decides addresses and who may ask: `/healthz` and `/readyz` everybody, all else who bears the token or, where clients
must show certificates, everybody who got this far. OpenAPI describes it at `/openapi.json`.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Callable
from itertools import islice
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Response
from fastapi.responses import StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST

from dbmesh.admin.actions import ForgetStatements, Kill, UnknownSession
from dbmesh.admin.metrics import Metrics
from dbmesh.admin.table import Operated, Table
from dbmesh.admin.tables import TABLES
from dbmesh.rules.administration import AdminSettings

ROWS_AT_ONCE = 64
"""Rows of an answer that are made before the loop does something else."""


def make_app(settings: AdminSettings, operated: Operated) -> FastAPI:
    """The application for one running mesh."""
    app = FastAPI(title="dbmesh admin API", version=operated.version, docs_url=None, redoc_url=None)
    metrics = Metrics(operated)
    asks = [Depends(_guard(settings, commands=True))]

    @app.get("/healthz", summary="Whether the process answers")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="Whether new clients are served")
    async def readyz(response: Response) -> dict[str, str]:
        if operated.ready():
            return {"status": "ready"}
        response.status_code = 503
        return {"status": "draining"}

    @app.get("/metrics", summary="Metrics for Prometheus", dependencies=[Depends(_guard(settings))])
    async def metrics_page() -> Response:
        return Response(metrics.page(), media_type=CONTENT_TYPE_LATEST)

    for table in TABLES:
        app.get(f"/v1/{table.name}", summary=table.title, name=table.name, dependencies=asks)(
            _rows_of(table, operated)
        )

    @app.delete("/v1/statements", summary="Count statements anew", dependencies=asks)
    async def forget_statements() -> dict[str, str]:
        return {"done": ForgetStatements().perform(operated)}

    @app.delete(
        "/v1/sessions/{session}", summary="End a client's connection, or its query", dependencies=asks
    )
    async def kill(session: int, *, query: bool = False) -> dict[str, str]:
        try:
            return {"done": Kill(session, query).perform(operated)}
        except UnknownSession as error:
            raise HTTPException(404, str(error)) from error

    return app


def _rows_of(table: Table, operated: Operated) -> Callable[[], Any]:
    names = [name for name, _ in table.columns]

    async def parts() -> AsyncIterator[str]:
        """A part at a time, so that the clients of the mesh, who are served by the same loop, need not wait for all of it."""
        found = table.rows(operated)
        before = "["
        while batch := list(islice(found, ROWS_AT_ONCE)):
            yield before + ",".join(json.dumps(dict(zip(names, row, strict=True))) for row in batch)
            before = ","
            await asyncio.sleep(0)
        yield "[]" if before == "[" else "]"

    async def rows() -> StreamingResponse:
        return StreamingResponse(parts(), media_type="application/json")

    return rows


def _guard(settings: AdminSettings, *, commands: bool = False) -> Callable[..., Any]:
    """Whether a request may pass. Without a token and without certificates of clients, on loopback then, only metrics are
    shown."""

    async def check(authorization: Annotated[str, Header()] = "") -> None:
        if settings.token:
            kind, _, token = authorization.partition(" ")
            if kind.lower() != "bearer" or not hmac.compare_digest(token.encode(), settings.token.encode()):
                raise HTTPException(
                    401, "bear the token: Authorization: Bearer …", {"WWW-Authenticate": "Bearer"}
                )
        elif commands and not settings.client_ca:
            raise HTTPException(403, "name a token in admin.token of global.yaml")

    return check
