"""The process that makes the sizes of a picture: what it may do to this one, which is nothing."""

import os
import subprocess
import sys
from pathlib import Path
from threading import Event, Timer
from time import monotonic

import pytest

from aggregator.clients import picture_maker
from aggregator.clients.picture_maker import TOO_SLOW, MakerDied, Stopped, make
from aggregator.clients.pictures import ANIMATED, TOO_LARGE, UNREADABLE, BadPicture, sizes
from tests.pictures import BAD_PICTURES, NOT_PICTURES, picture


@pytest.fixture
def other_maker(monkeypatch, tmp_path):
    """Puts a program in the place of the maker, which begins with all of stdin in `original`."""

    def replace(program: str) -> None:
        monkeypatch.setattr(picture_maker, "MAKER", "other_maker")
        monkeypatch.setattr(picture_maker, "ROOT", tmp_path)
        head = "import os, sys, time\noriginal = sys.stdin.buffer.read()\n"
        (tmp_path / "other_maker.py").write_text(head + program)

    return replace


def test_makes_what_would_be_made_here():
    original = picture(640, 480, "JPEG")

    made = make(original, Event())

    assert (made.thumb, made.full) == sizes(original)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (BAD_PICTURES["9000x9000 PNG of 10 KB"], TOO_LARGE),
        (BAD_PICTURES["APNG"], ANIMATED),
        (lambda: picture(300, 300)[:-200], UNREADABLE),
        (lambda: picture(3000, 3000, "PNG", "1")[:-1200], UNREADABLE),
        (NOT_PICTURES["EPS"], UNREADABLE),
        (NOT_PICTURES["nothing"], UNREADABLE),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_says_of_a_bad_picture_why_it_is_one(file, reason):
    with pytest.raises(BadPicture, match=f"^{reason}$"):
        make(file(), Event())


def test_one_that_takes_too_long_is_ended(other_maker):
    other_maker("time.sleep(60)")
    begun = monotonic()

    with pytest.raises(BadPicture, match=TOO_SLOW):
        make(b"x" * 1_000_000, Event(), seconds=0.3)

    assert monotonic() - begun < 2


def test_is_ended_soon_when_the_worker_is_to_stop(other_maker):
    other_maker("time.sleep(60)")
    stop = Event()
    timer = Timer(0.2, stop.set)
    timer.start()

    with pytest.raises(Stopped):
        make(b"x", stop)

    timer.join()


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os.abort()", "sys.exit(3)", "sys.stdout.write('abc')"])
def test_that_it_dies_says_nothing_of_the_picture(other_maker, end):
    other_maker(end)

    with pytest.raises(MakerDied):
        make(b"x", Event())


def test_one_that_reads_nothing_is_no_trouble(other_maker, tmp_path):
    other_maker("")
    (tmp_path / "other_maker.py").write_text("import sys; sys.exit(3)")

    with pytest.raises(MakerDied):
        make(b"x" * 5_000_000, Event())


def test_gets_to_know_no_secret(other_maker, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "canary")
    other_maker("told = repr(dict(os.environ)).encode()\nsys.stdout.buffer.write(b'\\0\\0\\0\\0' + told)")

    told = make(b"", Event()).full

    assert b"canary" not in told
    assert b"PATH" in told


def test_is_limited_in_what_it_may_take():
    program = """
import resource, sys
from aggregator.clients.pictures import _limit_resources
_limit_resources()
print(resource.getrlimit(resource.RLIMIT_CPU)[0], resource.getrlimit(resource.RLIMIT_CORE)[0])
try:
    bytearray(2 * 1024**3)
except MemoryError:
    print("no memory")
"""
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True, check=True, text=True
    ).stdout

    assert said == "60 0\nno memory\n"


def test_leaves_no_file_open(other_maker):
    before = len(os.listdir("/proc/self/fd"))
    other_maker("time.sleep(60)")

    for _ in range(3):
        with pytest.raises(BadPicture):
            make(b"x", Event(), seconds=0.0)

    assert len(os.listdir("/proc/self/fd")) <= before
