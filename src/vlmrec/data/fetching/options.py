"""How politely, how patiently and how carefully pictures are fetched."""

from pydantic import Field

from vlmrec.core.config import StrictConfig


class FetchOptions(StrictConfig):
    """Limits of `vlmrec fetch-images`."""

    rate: float = Field(default=5.0, gt=0)
    """Requests a second to one host."""
    per_host: int = Field(default=2, ge=1)
    """Connections to one host at a time."""
    workers: int = Field(default=8, ge=1)
    """Connections at a time, to all hosts together."""
    retries: int = Field(default=3, ge=0)
    """How often a picture is asked for again after a passing trouble."""
    backoff: float = Field(default=1.0, ge=0)
    """Seconds before the first of these; doubled before each further one."""
    timeout: float = Field(default=30.0, gt=0)
    """Seconds that one answer may take, from connecting to its last byte."""
    max_bytes: int = Field(default=20_000_000, ge=1)
    """Larger files are not taken."""
    redirects: int = Field(default=5, ge=0)
    """How often one picture may be redirected."""
    allow_private: bool = False
    """Also ask hosts at addresses that are not public: this machine, the local network."""
