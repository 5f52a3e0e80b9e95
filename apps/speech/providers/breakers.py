"""Circuit breakers: what has failed again and again is left alone for a while, and told to be down at once.

Why not a library: docs/decisions/0017-faults.md
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
    OPEN = "open"  # None does.
    HALF_OPEN = "half_open"  # One does, to see whether the provider is back.


class Breaker:
    """Lets calls through until `failures` in a row show that the provider is down at `stage`; then none for `seconds`.

    After that one call goes through: it closes the breaker, or opens it anew. Only errors with `is_outage` count; what
    the provider refuses shows that it works, and a call that is broken off shows nothing. All tasks and threads of a
    process may share one: every step is a single assignment.
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
        self._most_failures = failures
        self._seconds = seconds
        self._now = now
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
        """Seconds until a call may go through; 1 while another one is trying."""
        return max(1.0, (self._open_until or 0) - self._now())

    def check(self) -> None:
        """Raise the error "provider_unavailable" where no call would go through now."""
        if self.state == State.OPEN or (self.state == State.HALF_OPEN and self._is_trying):
            raise ProviderError(UNAVAILABLE, stage=self.stage, retryable=True, retry_after=self.retry_after)

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """Let the call inside of the block through, or raise as `check` does, and learn from how it ends."""
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
            self._note_answer()  # A fault of our own.
            raise
        else:
            self._note_answer()
        finally:
            if is_trial:
                self._is_trying = False

    def _note_failure(self) -> None:
        self._failures += 1
        if self._failures >= self._most_failures or self._open_until is not None:
            self._open_until = self._now() + self._seconds
            logger.warning("%s: the provider is down, no call for %.0f s", self.stage, self._seconds)

    def _note_answer(self) -> None:
        if self._open_until is not None:
            logger.warning("%s: the provider is back", self.stage)
        self.close()


class Breakers:
    """The breakers of one provider: one for each stage, since one part of a service may fail while others work."""

    def __init__(self, *, failures: int = 5, seconds: float = 30) -> None:
        self._by_stage: dict[Stage, Breaker] = {
            stage: Breaker(stage, failures=failures, seconds=seconds) for stage in ("clone", "hear", "think", "speak")
        }

    def __getitem__(self, stage: Stage) -> Breaker:
        return self._by_stage[stage]

    def close(self) -> None:
        for breaker in self._by_stage.values():
            breaker.close()
