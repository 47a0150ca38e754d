"""The settings of the place where ML Metadata keeps its records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from unet.settings import Section

PASSWORD = "UNET_METADATA_PASSWORD"  # the variable of the environment
SQLITE = "sqlite"
PORTS = {"mysql": 3306, "postgresql": 5432}


class Database(Section):
    """Database: where ML Metadata keeps its records; without the password, which the environment holds."""

    backend: Literal["sqlite", "mysql", "postgresql"] = Field(
        "sqlite", description="A file under the root, or a server: MySQL or MariaDB, or PostgreSQL."
    )
    host: str = Field("", description="Name or address of the server.")
    port: int = Field(0, ge=0, le=65535, description="Port of the server; 0: the usual one.")
    database: str = Field("", description="Name of the database, which exists.")
    user: str = Field("", description="Name of the user.")

    @model_validator(mode="before")
    @classmethod
    def _holds_no_secret(cls, value: Any) -> Any:
        # Errors of pydantic show what was received, which must not be a password.
        if not isinstance(value, dict | Database):
            raise PydanticCustomError("secret", "must be a table with backend, host, database and user")
        if isinstance(value, dict) and "password" in value:
            raise PydanticCustomError(
                "secret",
                f"a password belongs neither into a profile nor into an option: set {PASSWORD} in the "
                "environment",
            )
        return value

    def conflicts(self) -> Iterator[str]:
        """Yields a sentence for what a server's connection lacks, or SQLite has no use for."""
        values = {name: getattr(self, name) for name in ("host", "port", "database", "user")}
        if self.backend == SQLITE:
            if used := [name for name, value in values.items() if value]:
                yield f'backend = "{SQLITE}" takes no {", ".join(used)}: it is a file under the root'
            return
        if missing := [name for name in ("host", "database", "user") if not values[name]]:
            yield f'backend = "{self.backend}" needs {", ".join(missing)}'

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the server."""
        # MySQL's library takes the name for a file of its server on this machine.
        host = "127.0.0.1" if self.host == "localhost" else self.host
        return host, self.port or PORTS[self.backend]

    @property
    def name(self) -> str:
        """The database in words, for sentences."""
        host, port = self.address
        return f"{self.backend} database {self.database} on {host}:{port}"


class Metadata(Section):
    """Metadata: where ML Metadata keeps what runs did."""

    metadata: Database = Field(
        default_factory=Database,
        description='Table: `backend` is `"sqlite"`, a file under the root, or a server that several roots '
        'share, `"mysql"` (also MariaDB) or `"postgresql"`, with `host`, `port`, `database` and '
        "`user`; see [A team's metadata](../how-to/team.md).",
    )
