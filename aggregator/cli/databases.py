"""Which database a command works on: said before it writes, because DATABASE_URL is easily another than one thinks."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import click

from aggregator.extensions import settings
from aggregator.troubles import without_password

P = ParamSpec("P")
T = TypeVar("T")


def writes(command: Callable[P, T]) -> Callable[P, T]:
    """Have a command say on stderr which database it is about to write to."""

    @wraps(command)
    def named(*args: P.args, **kwargs: P.kwargs) -> T:
        click.echo(f"Database: {without_password(settings().database_url)}", err=True)
        return command(*args, **kwargs)

    return named
