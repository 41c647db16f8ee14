"""The types of problems (RFC 9457): one for each error that has a code. Answers, pages and the document come from here.

An error says its code, its message and what to do (aggregator/errors); the table says which kind has which status.
"""

from dataclasses import dataclass
from functools import cache

from aggregator import errors
from aggregator.errors import ProblemError

PATH = "/docs/problems/"  # where pages/problems.py shows them
STATUS: dict[type[ProblemError], int] = {
    errors.Unacceptable: 400,
    errors.Malformed: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.Conflict: 409,
    errors.CursorGone: 410,
    errors.EditedMeanwhile: 412,
    errors.TooLarge: 413,
    errors.Unsupported: 415,
    errors.Invalid: 422,
    errors.TooMany: 429,
    errors.Unavailable: 503,
}


@dataclass(frozen=True)
class ProblemType:
    """What all problems of one code have in common."""

    code: str
    status: int
    message: str
    advice: tuple[str, ...]

    @property
    def name(self) -> str:
        """The code as it stands in a URL."""
        return self.code.replace("_", "-")

    @property
    def uri(self) -> str:
        """The `type`: a reference to the page of this type, to be resolved against the URL of the request."""
        return PATH + self.name

    @property
    def title(self) -> str:
        """The `title`, which is the same for all problems of the type."""
        return self.code.replace("_", " ").capitalize()


def type_of(error: type[ProblemError]) -> ProblemType:
    """The type of the problems that an error becomes."""
    return problem_types()[error.code]


def status_of(error: type[ProblemError]) -> int:
    """The status that an error is answered with."""
    return next((status for kind, status in STATUS.items() if issubclass(error, kind)), 500)


@cache
def problem_types() -> dict[str, ProblemType]:
    """All types by their codes, in the order of their statuses."""
    found = []
    for error in errors.every_error():
        message, *advice = errors.paragraphs(error)
        found.append(ProblemType(error.code, status_of(error), message, tuple(advice)))
    return {each.code: each for each in sorted(found, key=lambda each: (each.status, each.code))}
