"""How a process ends that cannot go on: in words and with an exit code, whichever command it is."""

import sys
from types import TracebackType

from sqlalchemy.engine import URL

from aggregator.errors import UsageError
from aggregator.troubles import EX_CONFIG, trouble_of


def end_in_words(url: URL) -> None:
    """From now on, say what is wrong with the database at url instead of showing where in the code it was noticed.

    A hook of the interpreter, because `flask db` and others are commands of libraries that know no handler of ours.
    """
    otherwise = sys.excepthook

    def end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        trouble = trouble_of(error, url)
        if trouble is not None:
            print(trouble, file=sys.stderr)
            sys.exit(trouble.exit_code)
        if isinstance(error, UsageError):
            print(error.detail, file=sys.stderr)
            sys.exit(EX_CONFIG)
        otherwise(kind, error, trace)

    sys.excepthook = end
