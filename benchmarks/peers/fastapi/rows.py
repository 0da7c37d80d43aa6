"""The body that the routes take."""

from __future__ import annotations

from pydantic import BaseModel


class Rows(BaseModel):
    """Rows of numbers."""

    data: list[list[float]]
