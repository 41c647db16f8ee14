"""Processes that live no longer than the one that started them."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from aggregator.errors import UsageError

LAST_LINES = 15
PR_SET_PDEATHSIG = 1


class Stopped(Exception):
    """Somebody asked for the end."""


class StopSignals:
    """Remembers whether a signal has asked for the end. More of them do not make it come in a hurry."""

    def __init__(self) -> None:
        self.seen = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # What was started with nohup is to survive its terminal.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._remember)

    def _remember(self, *_: object) -> None:
        # No more than this: a lock could be held by the very code that the signal has interrupted.
        self.seen = True


@dataclass(frozen=True)
class Child:
    """A Python process in a session of its own, so that Ctrl-C reaches it only through us."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path
    patience: float  # seconds that it gets to end by itself

    def last_words(self) -> str:
        """How it ended, and what it wrote before that."""
        code = self.process.returncode
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        lines = self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join([f"({how}). The end of {shown(self.log)}:", *(f"  {line}" for line in lines)])

    def end(self) -> None:
        """Ask it to end; what is left of its session after a while is killed."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(self.patience)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class Children:
    """Processes that end in the opposite order of their start, whatever becomes of this one."""

    directory: Path
    environment: Mapping[str, str]
    logs: Path
    signals: StopSignals
    running: list[Child] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        for child in reversed(self.running):
            child.end()

    def start(self, name: str, *arguments: str, patience: float = 1.0, given: str = "") -> Child:
        """Start Python with arguments and something to read; all that it says goes to a log of its own."""
        log = self.logs / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - the arguments are our own
                [sys.executable, *arguments],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()),
            )
        self.running.append(Child(name, process, log, patience))
        assert process.stdin
        with suppress(BrokenPipeError), process.stdin:  # not in the arguments, which all users can list
            process.stdin.write(given.encode())
        return self.running[-1]

    def run(self, name: str, *arguments: str, given: str = "") -> None:
        """Start Python and wait for its end; UsageError where that is a bad one."""
        child = self.start(name, *arguments, given=given)
        while child.process.poll() is None:
            self._pause(0.05)
        self.running.remove(child)
        if child.process.returncode != 0:
            raise UsageError(f"The step `{name}` failed {child.last_words()}")

    def watch(self, seconds: float = 0.1) -> None:
        """Wait a little; Stopped when it is time to end, UsageError when one of them has ended by itself."""
        self._pause(seconds)
        for child in self.running:
            if child.process.poll() is not None:
                raise UsageError(f"The {child.name} process has ended by itself {child.last_words()}")

    def wait_for(self, done: Callable[[], bool], seconds: float) -> bool:
        """Whether done() came true in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if done():
                return True
            self.watch()
        return False

    def _pause(self, seconds: float) -> None:
        if not self.signals.seen:
            time.sleep(seconds)
        if self.signals.seen:
            raise Stopped


def end_with_parent() -> None:
    """Have this process told to end when the one that started it dies, however that happens (on Linux)."""
    _die_with(os.getppid())()


def _die_with(parent: int) -> Callable[[], None]:
    def ask_the_kernel() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)  # it died before it could be asked for

    return ask_the_kernel


def shown(path: Path) -> str:
    """The path as somebody in the present directory would write it."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
