"""`python -m voiceclone.run`: the web server and the worker side by side. When one of them ends, both end.

The weights that the embedded engines lack are fetched meanwhile, by a third process that ends by itself.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Iterator
from contextlib import suppress

from django.conf import settings

from apps.speech import availability
from apps.speech.local import needed, progress

# Added to SHUTDOWN_GRACE_SECONDS: time to store interrupted turns and to close the server.
CLOSING_SECONDS = 20
# Of live conversations: no client sends longer messages, and sound gains little from compression, which takes time.
SOCKETS = ["--ws-max-size", "5000000", "--ws-per-message-deflate", "false"]
WORKER = ["manage.py", "worker", "--no-startup-delay", "--no-reload", "--with-parent"]
FETCH_MODELS = ["manage.py", "fetch_models", "--if-used"]
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 10, 1800


def main() -> int:
    """Run all until one ends or a stop signal arrives. The command line arguments are passed to uvicorn."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voiceclone.settings")
    return asyncio.run(_run_all(["-m", "uvicorn", "voiceclone.asgi:application", *SOCKETS, *sys.argv[1:]]))


async def _run_all(web: list[str]) -> int:
    stop_requested = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop_requested.set)
    fetching = asyncio.create_task(_fetch_models()) if settings.FETCH_MODELS else None
    processes = [await _start(web), await _start(WORKER)]
    ends = [asyncio.create_task(process.wait()) for process in processes]
    stop = asyncio.create_task(stop_requested.wait())
    await asyncio.wait([*ends, stop], return_when=asyncio.FIRST_COMPLETED)
    was_requested = stop.done()
    stop.cancel()
    if fetching is not None:
        fetching.cancel()
        await asyncio.wait([fetching])
    await _end(processes, ends)
    return 0 if was_requested else 1


async def _start(command: list[str]) -> Process:
    # Own process groups, so that Ctrl+C does not reach them: a second stop signal would abort their work.
    return await asyncio.create_subprocess_exec(sys.executable, *command, process_group=0)


async def _end(processes: list[Process], ends: list[asyncio.Task[int]]) -> None:
    for process in processes:
        if process.returncode is None:
            process.terminate()
    _ended, still_running = await asyncio.wait(ends, timeout=settings.SHUTDOWN_GRACE_SECONDS + CLOSING_SECONDS)
    for process in processes:
        if process.returncode is None:
            process.kill()
    if still_running:
        await asyncio.wait(still_running)


async def _fetch_models() -> None:
    """Fetch the weights that are missing. Try again after each failure; the site stays up meanwhile."""
    for pause in _pauses():
        if not _announce_missing():
            return
        process = await _start(FETCH_MODELS)
        try:
            code = await process.wait()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)  # Also the client of a registry that it runs.
                await process.wait()
        if code == 0:
            return
        hint = "To try at once, run: manage.py fetch_models --if-used"
        sys.stderr.write(f"The models were not fetched. Trying again in {pause} seconds. {hint}\n")
        await asyncio.sleep(pause)


def _announce_missing() -> bool:
    """Tell whether weights are missing, and tell the web server that they will be fetched, before it is asked."""
    models = availability.models_in_use()
    missing = [file for model in models for file in needed.missing_files(settings.MODELS_DIR, model)]
    if missing:
        total = sum(file.size for file in missing)
        with suppress(OSError):  # The process that fetches reports the reason.
            progress.announce(settings.MODELS_DIR, total=total, missing=[file.path for file in missing])
    return bool(missing)


def _pauses() -> Iterator[int]:
    """Yield the seconds before each further try: each pause is twice as long as the one before."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
