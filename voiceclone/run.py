"""`python -m voiceclone.run`: the web server and the worker side by side. Both end together, whichever ends first."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process

from django.conf import settings

# Behind the grace that running requests get: to store what is interrupted, and for the server to close.
CLOSING_SECONDS = 20
WORKER = ["manage.py", "worker", "--no-startup-delay", "--no-reload"]


def main() -> int:
    """Run both until one ends or this is told to stop; the arguments are uvicorn's."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voiceclone.settings")
    return asyncio.run(_run_both([*["-m", "uvicorn", "voiceclone.asgi:application"], *sys.argv[1:]]))


async def _run_both(web: list[str]) -> int:
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    processes = [
        # In groups of their own, out of reach of Ctrl+C: told twice to stop, they would break off what they do.
        await asyncio.create_subprocess_exec(sys.executable, *web, process_group=0),
        await asyncio.create_subprocess_exec(sys.executable, *WORKER, process_group=0),
    ]
    ends = [asyncio.create_task(process.wait()) for process in processes]
    stop = asyncio.create_task(told.wait())
    await asyncio.wait([*ends, stop], return_when=asyncio.FIRST_COMPLETED)
    was_told = stop.done()
    stop.cancel()
    await _end(processes, ends)
    return 0 if was_told else 1


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


if __name__ == "__main__":
    sys.exit(main())
