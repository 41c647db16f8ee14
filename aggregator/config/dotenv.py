"""The file .env: loaded into the environment, so that all that looks there finds the same."""

import io
import os
from pathlib import Path

import dotenv
from dotenv.parser import parse_stream

from aggregator.config import development
from aggregator.errors import UsageError


def load_dotenv() -> None:
    """Put what .env says into the environment, where that says nothing by itself. UsageError if it cannot be read.

    Flask does the same before each of its commands, and with FLASK_SKIP_DOTENV neither of us does.
    """
    path = development.ROOT / ".env"
    if os.environ.get("FLASK_SKIP_DOTENV") or not path.exists() or path.is_dir():
        return
    for name, value in _values(path).items():
        if value and value.strip() and name not in os.environ:
            os.environ[name] = value


def _values(path: Path) -> dict[str, str | None]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # with the mark that some editors begin a file with
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    wrong = [binding.original.line for binding in parse_stream(io.StringIO(text)) if binding.error]
    if wrong or "\0" in text:
        where = f"line {wrong[0]}" if wrong else "a NUL character"
        raise UsageError(f"{path} cannot be understood: {where}. Each line is NAME=value, and quotes come in pairs.")
    return dotenv.dotenv_values(stream=io.StringIO(text))
