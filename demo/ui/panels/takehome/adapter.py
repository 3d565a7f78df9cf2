"""Adapter file: the adapter of a listed model as a zip archive, for scripts that are taken home to another machine."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from pathlib import Path

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from demo.domain.catalog import CATALOG

_ROOT = Path(__file__).parents[3]
_FOLDERS = {Path(entry.adapter).name: _ROOT / entry.adapter for entry in CATALOG.values() if entry.adapter}


def adapter_address(model: str) -> str:
    """Where a listed model's adapter is fetched, below the page's address; "" for a model without one."""
    entry = CATALOG.get(model)
    return f"adapter/{Path(entry.adapter).name}.zip" if entry and entry.adapter else ""


def adapter_route() -> Route:
    """Serves it; 404 for any other name."""

    async def answer(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _FOLDERS:
            return PlainTextResponse("Not found", 404)
        headers = {"Content-Disposition": f'attachment; filename="{name}.zip"'}
        return Response(await anyio.to_thread.run_sync(_pack, name), media_type="application/zip", headers=headers)

    return Route("/adapter/{name}.zip", answer)


@cache
def _pack(name: str) -> bytes:
    """The folder in an archive, under its own name; the same bytes each time."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:  # weights do not get smaller
        for file in sorted(_FOLDERS[name].iterdir()):
            archive.writestr(zipfile.ZipInfo(f"{name}/{file.name}"), file.read_bytes())
    return packed.getvalue()
