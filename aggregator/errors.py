"""What can go wrong, in the words that the outside gets to read. The docstring is the message."""

from inspect import cleandoc
from typing import Any


class ProblemError(Exception):
    """Something went wrong."""

    def __init__(self, detail: str | None = None, **extra: Any) -> None:
        self.detail = detail or cleandoc(type(self).__doc__ or "")
        self.extra = extra
        super().__init__(self.detail)


class Unauthorized(ProblemError):
    """This needs an access token, as `Authorization: Bearer ...`."""

    def __init__(self, detail: str | None = None, error: str | None = None) -> None:
        super().__init__(detail, error=error)  # RFC 6750's word for it, where a token was sent


class Forbidden(ProblemError):
    """This is not for your role."""


class TooMany(ProblemError):
    """That was tried too often. Wait for a while."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(None, retry_after=retry_after)  # seconds


class NotFound(ProblemError):
    """There is no such thing."""


class NotReady(NotFound):
    """It is being made, and will be there in a moment."""


class TooLarge(ProblemError):
    """This is larger than may be."""


class Unsupported(ProblemError):
    """This is of a kind that nobody here can read."""


class Conflict(ProblemError):
    """This conflicts with what is there."""


class EditedMeanwhile(ProblemError):
    """It has been changed since the version named in If-Match."""


class Invalid(ProblemError):
    """The request cannot be processed."""

    def __init__(self, detail: str | None = None, errors: dict[str, Any] | None = None) -> None:
        super().__init__(detail, **({"errors": errors} if errors else {}))


class InProgress(ProblemError):
    """The first request with this Idempotency-Key is still being worked on. Try again in a second."""


class Unavailable(ProblemError):
    """The service cannot answer just now. Try again in a moment."""


class UsageError(ProblemError):
    """The program was started in a way that cannot work."""
