"""The page at `/`: static files that ask the same routes as everybody else."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

_PAGE = Path(__file__).parent / "page"


def add_page(app: FastAPI) -> None:
    """Adds the page to an application."""

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(_PAGE / "index.html")

    app.mount("/page", StaticFiles(directory=_PAGE), name="page")
