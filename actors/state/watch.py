"""Who is alive, and who fails too often: decided from times that are handed in (monotonic seconds)."""

from __future__ import annotations

from collections import deque

import msgspec


class _Watched(msgspec.Struct):
    """One watched actor: the ping it has not answered yet, and since when."""

    ping: int = 0
    asked: float = 0.0
    waiting: bool = False


class LifeWatch:
    """Pings, and how long they have been without an answer.

    Time in which the watcher itself did not run (a suspended machine, a starved process) counts for nobody.
    """

    def __init__(self, *, interval: float, patience: float) -> None:
        """Ticks come every `interval` seconds; who is silent for more than `patience` seconds hangs."""
        self._interval = interval
        self._patience = patience
        self._watched: dict[str, _Watched] = {}
        self._pings = 0
        self._last_tick: float | None = None

    def add(self, name: str) -> None:
        """Watch this actor from the next tick on; named again, it starts afresh."""
        self._watched[name] = _Watched()

    def answered(self, name: str, ping: int) -> None:
        """An actor answered; only the ping it was last asked counts."""
        watched = self._watched.get(name)
        if watched is not None and watched.ping == ping:
            watched.waiting = False

    def tick(self, now: float) -> tuple[tuple[str, int], ...]:
        """Say whom to ask now, with the number of the ping: all who owe no answer."""
        if self._last_tick is not None:
            overslept = max(0.0, now - self._last_tick - 2 * self._interval)
            for watched in self._watched.values():
                watched.asked += overslept
        self._last_tick = now
        return tuple((name, self._ask(watched, now)) for name, watched in self._idle())

    def hanging(self, now: float) -> str | None:
        """Name the actor that hangs, if one does."""
        for name, watched in self._watched.items():
            if watched.waiting and now - watched.asked > self._patience:
                return name
        return None

    def _idle(self) -> list[tuple[str, _Watched]]:
        return [(name, watched) for name, watched in self._watched.items() if not watched.waiting]

    def _ask(self, watched: _Watched, now: float) -> int:
        self._pings += 1
        watched.ping, watched.asked, watched.waiting = self._pings, now, True
        return self._pings


class FailureBudget:
    """How many failures one actor may have within a window of time."""

    def __init__(self, *, failures: int, window: float) -> None:
        """At most `failures` within `window` seconds are borne."""
        self._allowed = failures
        self._window = window
        self._times: dict[str, deque[float]] = {}

    def spend(self, name: str, now: float) -> bool:
        """Note one failure; False if that was too many."""
        times = self._times.get(name)
        if times is None:
            times = self._times[name] = deque(maxlen=self._allowed + 1)
        times.append(now)
        return len(times) <= self._allowed or now - times[0] > self._window
