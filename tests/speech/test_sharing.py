"""What the processes of a site divide among them without Redis."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from apps.speech import configs, sharing
from apps.speech.providers.slots import Slots

if TYPE_CHECKING:
    from pytest_django import Settings


@pytest.fixture(autouse=True)
def elevenlabs(settings: Settings) -> None:
    settings.TEXT_TO_SPEECH, settings.ELEVENLABS_MAX_CONCURRENT = "elevenlabs", 10


@pytest.mark.parametrize(("size", "processes", "share"), [(10, 1, 10), (10, 3, 3), (2, 3, 1)])
def test_each_process_has_its_share(settings: Settings, size: int, processes: int, share: int) -> None:
    settings.PROCESSES = processes
    assert configs.share_of(size) == share
    slots = sharing.slots(sharing.shared_limits(), "elevenlabs", size)
    assert isinstance(slots, Slots)
    assert slots._size == share


@pytest.mark.parametrize(("processes", "url", "lines"), [(1, "", 0), (3, "", 1), (3, "redis://127.0.0.1:9", 0)])
def test_the_start_tells_it(
    settings: Settings, caplog: pytest.LogCaptureFixture, processes: int, url: str, lines: int
) -> None:
    settings.PROCESSES, settings.SHARED_LIMITS_URL = processes, url
    with caplog.at_level(logging.WARNING):
        sharing.tell_shares()
    assert len(caplog.records) == lines
    assert all("3 of the 10 slots of ELEVENLABS_MAX_CONCURRENT" in record.message for record in caplog.records)
