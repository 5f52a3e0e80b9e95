from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from apps.core.tables import table
from apps.site import charts, figures, storage_use
from apps.usage import metering


class Command(BaseCommand):
    help = "Show the figures of the site: turns, times to the first sound, failures, spend, queues, services, storage."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--days", type=int, default=figures.DAYS_SHOWN, help=f"how many days, 1 to {figures.MAX_DAYS} (default: 30)"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, days: int, json: bool, **_options: Any) -> None:
        if not 1 <= days <= figures.MAX_DAYS:
            raise CommandError(f"--days must be a number from 1 to {figures.MAX_DAYS}.")
        period, use = figures.period(days), storage_use.measure()
        if json:
            self.stdout.write(_as_json(period, use))
        else:
            for title, rows in _tables(period, use):
                self.stdout.write(f"{title}\n{table(rows)}\n")


def _as_json(period: figures.Period, use: storage_use.StorageUse) -> str:
    everything = {
        **figures.as_json(period),
        "background": asdict(figures.background()),
        "services": [asdict(breaker) for breaker in figures.breakers()],
        "storage_bytes": asdict(use),
        "model_ends": [asdict(model) for model in figures.model_ends()],
    }
    return json.dumps(everything, indent=2, cls=DjangoJSONEncoder)


def _tables(period: figures.Period, use: storage_use.StorageUse) -> list[tuple[str, Sequence[Sequence[object]]]]:
    """Return titles and tables, whose first rows are headings."""
    background = figures.background()
    unpriced = metering.unpriced()
    return [
        ("Days (UTC)", _days(period)),
        ("Failures", [("stage", "code", "turns"), *period.failures]),
        (
            "Estimated spend" + (f", without {', '.join(unpriced)}: set PRICES" if unpriced else ""),
            [
                ("kind", "spend"),
                *((kind, charts.dollars(amount)) for kind, amount in period.dollars_by_kind.items()),
            ],
        ),
        (
            "Queues" + (": no worker seems to run" if background.is_behind else ""),
            [("queue", "waiting"), *background.waiting.items(), ("failed tasks", background.failed)],
        ),
        ("Services, as far as this process knows", [("engine", "stage", "calls"), *_services()]),
        ("Storage in bytes", _storage(use)),
        (
            "Announced ends of configured models",
            [("model", "setting", "end"), *((each.model, each.setting, each.end) for each in figures.model_ends())],
        ),
    ]


def _days(period: figures.Period) -> list[tuple[object, ...]]:
    rows = [
        (
            day.day,
            day.all_turns,
            day.failed,
            day.interrupted,
            charts.seconds(day.first_audio_p50),
            charts.seconds(day.first_audio_p95),
            charts.dollars(day.all_dollars),
        )
        for day in period.days
    ]
    return [
        ("day", "turns", "failed", "interrupted", "first sound p50", "p95", "spend"),
        *rows,
        ("all", period.turns, period.failed, "", "", "", charts.dollars(period.dollars)),
    ]


def _storage(use: storage_use.StorageUse) -> list[tuple[str, object]]:
    free = [("free of the disk", use.disk_free)] if use.disk_total else []
    return [("folder", "bytes"), *use.folders.items(), ("database", use.database), *free]


def _services() -> list[tuple[str, str, str]]:
    return [(each.engine, each.stage, "go through" if each.is_closed else "paused") for each in figures.breakers()]
