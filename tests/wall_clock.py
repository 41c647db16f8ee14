"""A wall clock that a test sets while processes run, as NTP or an operator does; nothing else of them changes."""

import shutil
import struct
import subprocess
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

SOURCE = Path(__file__).with_name("wall_clock.c")


class NoCompiler(Exception):
    """There is no C compiler here to build the clock with."""


@dataclass(frozen=True)
class WallClock:
    """The clock of the processes that are started with its environment."""

    library: Path
    file: Path

    @classmethod
    def in_folder(cls, folder: Path) -> "WallClock":
        """A clock that is right, as yet. NoCompiler where none can be made."""
        compiler = shutil.which("cc")
        if compiler is None:
            raise NoCompiler("there is no cc")
        clock = cls(folder / "wall_clock.so", folder / "wall_clock")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", clock.library, SOURCE], check=True)
        clock.set(0)
        return clock

    @property
    def env(self) -> dict[str, str]:
        """With what to start a process that is to have this clock."""
        return {"LD_PRELOAD": str(self.library), "WALL_CLOCK": str(self.file)}

    def set(self, ahead: int) -> None:
        """Let it be as many seconds ahead of the right time, from this moment on."""
        with self.file.open("r+b" if self.file.exists() else "w+b", buffering=0) as file:
            file.write(struct.pack("q", ahead))

    def set_to(self, moment: datetime) -> None:
        """Let it be that moment now."""
        self.set(round(moment.timestamp() - time.time()))
