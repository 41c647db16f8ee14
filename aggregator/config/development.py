"""What development gets by without: a place for its files, and secrets that are made when they are first needed."""

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

from aggregator.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


def development_secret(name: str) -> str:
    """A secret of this directory's own, made when it is first asked for: no two installations share one."""
    path = ROOT / "instance" / "development-secret"
    try:
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            draft = path.with_name(f"{path.name}-{token_hex(8)}")
            draft.touch(mode=0o600)  # before there is anything in it
            draft.write_text(token_hex(32))
            with suppress(FileExistsError):
                os.link(draft, path)  # all at once: another process may be reading it
            draft.unlink()
        return sha256(f"{name} {path.read_text()}".encode()).hexdigest()
    except OSError as error:
        raise UsageError(f"{name.upper()} is not set, and none can be kept in {path}: {error.strerror}.") from None
