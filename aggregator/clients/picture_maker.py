"""Makes the sizes of a picture in a process of its own.

A picture that is made to hurt then costs that process its life and nobody else anything: not its memory, which the
system takes back, not its time, which is limited, and nothing of what this one knows, of which that one gets none.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic

from aggregator.clients.pictures import EX_DATAERR, BadPicture

SECONDS = 30.0
MAKER = "aggregator.clients.pictures"
ROOT = Path(__file__).parents[2]
# What a Python may need to find its parts. No secret goes along.
NEEDED = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "SYSTEMROOT")
LOOK_SECONDS = 0.2
TOO_SLOW = "It takes too long."


@dataclass(frozen=True)
class Sizes:
    """A picture in the sizes that are shown."""

    thumb: bytes
    full: bytes


class MakerDied(Exception):
    """It was not made, for no reason that is known to be the picture's."""


class Stopped(Exception):
    """It was not made, because the worker is to stop."""


def make(original: bytes, stop: Event, seconds: float = SECONDS) -> Sizes:
    """The sizes of a picture. BadPicture where there are none; MakerDied or Stopped where there may be some later."""
    with subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-m", MAKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env={name: os.environ[name] for name in NEEDED if name in os.environ},
        start_new_session=True,  # Ctrl-C is for us
    ) as maker:
        try:
            told = _told(maker, original, stop, monotonic() + seconds)
        finally:
            maker.kill()
    if maker.returncode == EX_DATAERR:
        raise BadPicture(told.decode("ascii", "replace"))
    if maker.returncode != 0 or len(told) < 4:
        raise MakerDied(f"exit code {maker.returncode}")
    end = 4 + int.from_bytes(told[:4])
    return Sizes(told[4:end], told[end:])


def _told(maker: "subprocess.Popen[bytes]", original: bytes, stop: Event, until: float) -> bytes:
    rest: bytes | None = original
    while not stop.is_set():
        try:
            return maker.communicate(rest, LOOK_SECONDS)[0]
        except subprocess.TimeoutExpired:
            rest = None  # it has been noted and goes on being sent
            if monotonic() > until:
                raise BadPicture(TOO_SLOW) from None
    raise Stopped
