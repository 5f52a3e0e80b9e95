"""Circuit breakers: after repeated outages of a provider, calls to it fail at once for a while.

docs/decisions/0017-faults.md says why this is not a library.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

from apps.speech.base import ProviderError

if TYPE_CHECKING:
    from apps.speech.base import Stage

logger = logging.getLogger("voiceclone.speech")

UNAVAILABLE = "provider_unavailable"


class State(StrEnum):
    CLOSED = "closed"  # Calls go through.
    OPEN = "open"  # No call goes through.
    HALF_OPEN = "half_open"  # One trial call goes through, to learn whether the provider is back.


class Breaker:
    """Opens for `seconds` after `failures` outages in a row at `stage`; no call goes through while it is open.

    Then one trial call goes through, and closes the breaker or opens it again. Only errors with `is_outage` count as
    failures. Other errors show that the provider works, and a cancelled call shows nothing. All tasks and threads of a
    process may share a breaker: every state change is a single assignment.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        failures: int = 5,
        seconds: float = 30,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stage = stage
        self._max_failures = failures
        self._seconds = seconds
        self._now = now
        self.changes = 0  # How often it opened or closed by itself, for those who tell other processes.
        self.close()

    def close(self) -> None:
        self._failures = 0
        self._open_until: float | None = None
        self._is_trying = False

    @property
    def state(self) -> State:
        if self._open_until is None:
            return State.CLOSED
        return State.OPEN if self._now() < self._open_until else State.HALF_OPEN

    @property
    def retry_after(self) -> float:
        """Seconds until a call may go through; 1 during a trial call."""
        return max(1.0, (self._open_until or 0) - self._now())

    @property
    def open_seconds(self) -> float:
        """Seconds for which no call goes through; 0 if it is closed or half open."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._now())

    def follow(self, *, open_seconds: float | None) -> None:
        """Take over the state that another process found: open for so long, half open if negative, closed if None."""
        if open_seconds is None:
            self.close()
        else:
            self._open_until = self._now() + open_seconds

    def check(self) -> None:
        """Raise ProviderError provider_unavailable if no call would go through now."""
        if self.state == State.OPEN or (self.state == State.HALF_OPEN and self._is_trying):
            raise ProviderError(UNAVAILABLE, stage=self.stage, retryable=True, retry_after=self.retry_after)

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """Run a call in this block, or raise as `check` does. The outcome of the block updates the breaker."""
        self.check()
        is_trial = self._is_trying = self.state == State.HALF_OPEN
        try:
            yield
        except ProviderError as error:
            if error.is_outage:
                self._note_failure()
            else:
                self._note_answer()
            raise
        except Exception:
            self._note_answer()  # An error in our own code is no outage.
            raise
        else:
            self._note_answer()
        finally:
            if is_trial:
                self._is_trying = False

    def _note_failure(self) -> None:
        self._failures += 1
        if self._failures >= self._max_failures or self._open_until is not None:
            self._open_until = self._now() + self._seconds
            self.changes += 1
            logger.warning("%s: the provider is down; no calls for %.0f s", self.stage, self._seconds)

    def _note_answer(self) -> None:
        if self._open_until is not None:
            self.changes += 1
            logger.warning("%s: the provider is back", self.stage)
        self.close()


class Breakers:
    """The breakers of one provider: one for each stage, because one part of a service may fail while others work."""

    def __init__(self, *, failures: int = 5, seconds: float = 30) -> None:
        self._by_stage: dict[Stage, Breaker] = {
            stage: Breaker(stage, failures=failures, seconds=seconds) for stage in ("clone", "hear", "think", "speak")
        }

    def __getitem__(self, stage: Stage) -> Breaker:
        return self._by_stage[stage]

    def close(self) -> None:
        for breaker in self._by_stage.values():
            breaker.close()
