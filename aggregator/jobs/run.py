"""A run of a job."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Event

Summary = Mapping[str, object]


@dataclass
class Run:
    """What a job gets to see of the worker: when to stop, and a way to say that it is getting on."""

    stop: Event = field(default_factory=Event)
    alive_at: float = field(default_factory=time.monotonic)

    def alive(self) -> None:
        """Tell the watchdog that the job is getting on."""
        self.alive_at = time.monotonic()
