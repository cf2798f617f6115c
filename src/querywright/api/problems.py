"""What a service answers in place of hits."""

from __future__ import annotations

from querywright.errors import QuerywrightError


class ServiceError(QuerywrightError):
    """A call that the service refuses; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RefusedAddress(QuerywrightError):
    """The host stands for an address that no request may go to."""


class NoMoreResults(Exception):
    """A scroll is at its end. The services answer this with 200 and an error text."""
