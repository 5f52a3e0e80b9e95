"""Passes a stream of PCM on in few chunks, without delay for the listener."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

_LONGEST_PAUSE_SECONDS = 0.15


async def coalesced(chunks: AsyncIterator[bytes], sample_rate: int) -> AsyncGenerator[bytes, None]:
    """Yield s16le PCM in whole samples: the first chunk at once, later ones joined, always in time for playback.

    Audio arrives faster than it is played, in small chunks, and a small chunk costs as much as a large one to read and
    pass on. So the reader pauses for a fraction of the audio that the listener still has to hear.
    """
    now = asyncio.get_running_loop().time
    waiting, sent_seconds = [b""], 0.0
    started = next_time = now()
    async for chunk in chunks:
        waiting.append(chunk)
        if now() < next_time:
            continue
        arrived = b"".join(waiting)
        whole = len(arrived) // 2 * 2
        if whole:
            yield arrived[:whole]
        started = started if sent_seconds else now()
        sent_seconds += whole / 2 / sample_rate
        waiting = [arrived[whole:]]
        pause = min(_LONGEST_PAUSE_SECONDS, max(0, (sent_seconds - (now() - started)) / 4))
        next_time = now() + pause
        await asyncio.sleep(0.8 * pause)  # The rest of the pause is for reading the chunks that have arrived.
    arrived = b"".join(waiting)
    if len(arrived) > 1:  # Only the very end can be half a sample.
        yield arrived[: len(arrived) // 2 * 2]
