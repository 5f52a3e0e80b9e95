"""What is left after outages: everything that people were told, and nothing that belonged to running work."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from django.db import connections

from tests.fakes.provider import FakeProvider
from tests.redis import RedisServer

# A killed process's turns are settled after a lease, what it had reserved without a row after ten minutes.
REPAIR_SECONDS = 13 * 60
SETTLING_SECONDS = 6


def losses(turns: set[str], done: dict[str, str]) -> Iterator[str]:
    """Wait for the last turn. Compare the rows and the store with what people were told: `done` maps turns to replies.

    A question is answered even if its sound cannot be stored, which is no loss.
    """
    from apps.conversations.models import Turn
    from apps.core.storage import media

    connections.close_all()  # They are of before the restart.
    _wait_for_turns()
    rows = {str(turn.pk): turn for turn in Turn.objects.all()}
    sizes = {file.name: file.size for file in media().files()}
    named = {str(file.name) for turn in rows.values() for file in turn.recordings}
    silent = sum(turn.question_seconds is not None and not turn.question for turn in rows.values())
    _say(f"rows: {dict(Counter(turn.status for turn in rows.values()))}, {silent} without the sound of the question")
    strays = sum(name.startswith(("questions/", "answers/")) for name in sizes.keys() - named)
    _say(f"store: {len(sizes)} objects, {strays} without a row, which are deleted when they are a day old")
    yield from (f"turn {pk} was told and has no row" for pk in turns - rows.keys())
    yield from (f"the store has lost {name}" for name in named if not sizes.get(name))
    for pk, reply in done.items():
        turn = rows.get(pk)
        if turn is None or turn.status != Turn.Status.SPOKEN or turn.reply != reply or not turn.answer:
            yield f"turn {pk} was told as done, and is {turn and turn.status} {turn and turn.error_code}"


def _wait_for_turns() -> None:
    from apps.conversations.models import RUNNING, Turn

    seconds = _wait(lambda: Turn.objects.filter(status__in=RUNNING).count())
    stopped = Turn.objects.filter(error_code="server_stopped").count()
    _say(f"the last turn was settled after {seconds:.0f} s; {stopped} are left as stopped by a kill")


def leftovers(redis: RedisServer, provider: FakeProvider, *, patience: float) -> Iterator[str]:
    """Wait until everything is given back, each for at most `patience` seconds; yield what is not."""
    from django_tasks_db.models import DBTaskResult

    from apps.conversations.models import RUNNING, Turn
    from apps.core.storage import media
    from apps.usage.models import UsageDay

    reserved = UsageDay.objects.exclude(running=0, reserved_heard_ms=0, reserved_characters=0)
    counts: dict[str, Callable[[], int]] = {
        "requests for speech at the provider": lambda: provider.speaking,
        "slots in Redis": lambda: _slots(redis),
        "turns that run": lambda: Turn.objects.filter(status__in=RUNNING).count(),
        "parts of files": lambda: len(list(media().unfinished())),
        "tasks": lambda: DBTaskResult.objects.exclude(status="SUCCESSFUL").count(),
        "people with reservations": reserved.count,
    }
    for name, count in counts.items():
        at_first = count()
        seconds = _wait(count, patience)
        _say(f"{name}: {at_first}, given back after {seconds:.0f} s" if at_first else f"{name}: 0")
        if left := count():
            yield f"{name}: {left} are left"


def _slots(redis: RedisServer) -> int:
    with redis.client() as server:
        keys = [
            key for kind in ("held", "pending", "waiting") for key in server.scan_iter(f"voiceclone:slots:*:{kind}")
        ]
        return sum(int(server.zcard(key)) for key in keys)


def _wait(count: Callable[[], int], patience: float = REPAIR_SECONDS) -> float:
    """Wait until nothing is left, or so many seconds; return how long it took."""
    began = time.monotonic()
    while count() and time.monotonic() - began < patience:
        time.sleep(1)
    return time.monotonic() - began


def print_errors(logs: list[Path]) -> None:
    """Print how often each error is in the logs."""
    errors: Counter[str] = Counter()
    for line in "".join(log.read_text() for log in logs).splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            errors[line[:100]] += 1
            continue
        if entry["level"] in {"ERROR", "CRITICAL"}:
            errors[str(entry["message"])[:100]] += 1
    _say("errors in the logs:")
    for message, number in errors.most_common(12):
        _say(f"  {number:5}  {message}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
