"""How a run is served."""

from pathlib import Path

from pydantic import Field

from vlmrec.core.config import StrictConfig


class ServeOptions(StrictConfig):
    """How a run is served."""

    host: str = "127.0.0.1"
    """Address to listen on; only this machine's own by default."""
    port: int = Field(default=8000, ge=0, le=65535)
    database: str = "sqlite:///vlmrec.db"
    """Where events, items and lists are kept: an SQLAlchemy URL of SQLite or PostgreSQL."""
    keys: Path | None = None
    """File of API keys, see `vlmrec.serve.keys`; without one everybody may do everything, and
    only this machine can reach the service."""
    runs: Path | None = None
    """Folder whose runs may be swapped in; none without it."""
    history: int = Field(default=200, ge=1)
    """How many of the latest events of a user are read."""
    batch: int = Field(default=64, ge=1)
    """Requests that are answered together at most."""
    body_bytes: int = Field(default=1 << 20, ge=1024)
    """Largest body of a request without a picture."""
    body_seconds: float = Field(default=60.0, gt=0)
    """How long a body may take to come."""
    picture_bytes: int = Field(default=10 << 20, ge=1024)
    """Largest picture file."""
    picture_pixels: int = Field(default=40_000_000, ge=1)
    """Most pixels of a picture once unpacked."""
    requests_per_minute: int = Field(default=0, ge=0)
    """Of one key, or of one address where there are no keys; 0 for any number."""
    follow_seconds: float = Field(default=1.0, gt=0)
    """How often is looked for changes that other servers on the database made."""
