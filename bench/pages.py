"""Measure every page, API list and admin list on a large database: its queries, and the milliseconds of an answer.

The requests run in this process, without a network: templates, middleware and database are the real ones.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import django
from django.core.management import call_command

from bench import processes, report

REFERENCE_LOOP_MS = 10
"""What `report.loop_ms` is on the machine that the limits are meant for."""
PAGE_LIMIT_MS, SEARCH_LIMIT_MS = 300, 500
RUNS = 5
ENOUGH_SECONDS = 3  # A page that takes longer is measured once.
BUSIEST = "seed-0"


@dataclass(frozen=True, slots=True)
class Page:
    """What to request, as whom: a page's `is_search` says which limit holds."""

    name: str
    path: str
    by_staff: bool = False
    is_search: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of a page. `ms` is the median, `kilobytes` the size of the body."""

    name: str
    queries: int
    ms: float
    kilobytes: float
    limit_ms: int


def main() -> int:
    options = _options()
    with TemporaryDirectory(prefix="voiceclone-bench-") as folder:
        processes.set_environment(Path(folder), None)
        os.environ["DATABASE_URL"] = options.database or os.environ["DATABASE_URL"]
        django.setup()
        logging.getLogger("voiceclone").setLevel(logging.WARNING)  # Without a line for each sign-in.
        _seed(options.turns)
        loop_ms = report.loop_ms()
        factor = loop_ms / REFERENCE_LOOP_MS
        _say(_heading(loop_ms))
        measured = [_measure(page, factor) for page in _pages() if options.only in page.name]
    over = [page for page in measured if page.ms > page.limit_ms * factor]
    _say(f"\n{len(measured)} pages, {len(over)} over their limit")
    if options.json:
        options.json.write_text(json.dumps([asdict(page) for page in measured], indent=2) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__)
    parser.add_argument("--turns", type=int, default=100_000, help="turns to seed an empty database with (100000)")
    parser.add_argument("--database", default="", help="DATABASE_URL, empty or seeded before (a new SQLite file)")
    parser.add_argument("--only", default="", metavar="TEXT", help="measure only the pages whose names contain TEXT")
    parser.add_argument("--json", type=Path, help="write the measurements to this file")
    return parser.parse_args()


def _seed(turns: int) -> None:
    from apps.accounts.models import User

    call_command("collectstatic", interactive=False, verbosity=0)
    call_command("migrate", verbosity=0)
    if not User.objects.exists():
        call_command("seed_demo", turns=turns)
    if not User.objects.filter(username=BUSIEST).exists():
        raise SystemExit("This database has accounts that `manage.py seed_demo` did not make.")


def _heading(loop_ms: float) -> str:
    from django.db import connection

    from apps.conversations.models import Turn

    return f"""\
{Turn.objects.count()} turns on {connection.vendor}. {os.cpu_count()} cores, Python {platform.python_version()}, which \
takes {loop_ms:.0f} ms to count to a million (reference: {REFERENCE_LOOP_MS} ms); load {os.getloadavg()[0]:.1f}.
The last column has the milliseconds on the reference machine, and the limit for it.

page                                                              queries        ms       KB  at reference"""


def _measure(page: Page, factor: float) -> Measured:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = _client(by_staff=page.by_staff)
    with CaptureQueriesContext(connection) as queries:
        response = client.get(page.path)
        count = len(queries)
    if response.status_code != 200:
        raise SystemExit(f"{page.path} was answered with {response.status_code}.")
    size = len(response.getvalue()) / 1000
    times: list[float] = []
    while len(times) < RUNS and sum(times) < ENOUGH_SECONDS:
        started = time.perf_counter()
        client.get(page.path).getvalue()
        times.append(time.perf_counter() - started)
    limit = SEARCH_LIMIT_MS if page.is_search else PAGE_LIMIT_MS
    measured = Measured(page.name, count, 1000 * median(times), size, limit)
    at_reference = measured.ms / factor
    _say(
        f"{page.name:64}{measured.queries:9}{measured.ms:10.0f}{size:9.0f}{at_reference:9.0f} ≤ {limit}"
        + "  over" * (at_reference > limit)
    )
    return measured


def _client(*, by_staff: bool) -> Any:
    from django.test import Client

    from apps.accounts.models import User
    from tests.factories import make_administrator

    client = Client(SERVER_NAME="localhost")
    if by_staff:
        administrator, _created = User.objects.get_or_create(username="bench-staff", email="bench-staff@example.org")
        client.force_login(make_administrator(administrator))
    else:
        client.force_login(User.objects.get(username=BUSIEST))
    return client


def _pages() -> Iterator[Page]:
    """Yield all pages, those of the busiest person first."""
    yield from _people_pages()
    yield from _api_lists()
    yield from _admin_pages()


def _people_pages() -> Iterator[Page]:
    from django.urls import reverse

    from apps.accounts.models import User
    from apps.conversations.models import Conversation
    from apps.conversations.seeding import COMMON_WORD, RARE_WORD, WORDS
    from apps.webhooks.models import Webhook

    mine = User.objects.get(username=BUSIEST)
    conversation = longest_conversation()
    count = Conversation.objects.for_user(mine).count()
    talk, history = reverse("conversations:talk"), reverse("conversations:history")
    yield Page("talk: new", talk)
    yield Page("talk: longest conversation", f"{talk}{conversation}/")
    yield Page("history: first page", history)
    yield Page("history: last page", f"{history}?page={count // 20}")
    yield Page("history: search, common word", f"{history}?q={COMMON_WORD}", is_search=True)
    yield Page("history: search, rare word", f"{history}?q={RARE_WORD}", is_search=True)
    yield Page("history: search, two words", f"{history}?q={COMMON_WORD}+{WORDS[0]}", is_search=True)
    yield Page("history: search, 20 words", f"{history}?q={'+'.join(WORDS[:20])}", is_search=True)
    yield Page("history: export as JSON", f"{history}{conversation}/export.json")
    yield Page("history: export as text", f"{history}{conversation}/export.txt")
    webhook = Webhook.objects.for_user(mine).values_list("pk", flat=True)[0]
    yield Page("voices", reverse("voices:list"))
    for name in ("accounts:profile", "accounts:tokens", "usage:usage", "webhooks:webhooks", "privacy:data"):
        yield Page(name, reverse(name))
    yield Page("webhook: first page of its messages", reverse("webhooks:webhook", args=[webhook]))
    yield Page("webhook: deep page of its messages", reverse("webhooks:webhook", args=[webhook]) + "?page=900")


def longest_conversation() -> Any:
    """Return the id of the conversation with the most turns."""
    from django.db.models import Count

    from apps.conversations.models import Turn

    counts = Turn.objects.order_by().values("conversation").annotate(turns=Count("pk")).order_by("-turns")
    return counts[0]["conversation"]


def _api_lists() -> Iterator[Page]:
    from django.urls import reverse

    from apps.accounts.models import User
    from apps.conversations.seeding import COMMON_WORD, RARE_WORD, WORDS
    from apps.webhooks.models import Webhook

    mine = User.objects.get(username=BUSIEST)
    webhook = Webhook.objects.for_user(mine).values_list("pk", flat=True)[0]
    for name in ("voices", "conversations", "tokens", "usage", "usage-records", "webhooks", "exports", "consents"):
        yield Page(f"API {name}", reverse(f"api:{name}"))
    yield Page("API conversations: 200 at once", reverse("api:conversations") + "?limit=200")
    for name, words in [
        ("common word", COMMON_WORD),
        ("rare word", RARE_WORD),
        ("20 words", "+".join(WORDS[:20])),
    ]:
        yield Page(
            f"API conversations: search, {name}", f"{reverse('api:conversations')}?search={words}", is_search=True
        )
    yield Page("API longest conversation", reverse("api:conversation", args=[longest_conversation()]))
    yield Page("API messages of a webhook", reverse("api:webhook-deliveries", args=[webhook]))


def _admin_pages() -> Iterator[Page]:
    from django.contrib import admin
    from django.urls import reverse

    from apps.conversations.seeding import COMMON_WORD, RARE_WORD

    yield Page("admin", reverse("admin:index"), by_staff=True)
    for model, model_admin in admin.site._registry.items():
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        path = reverse(f"admin:{name}_changelist")
        label = f"admin {model._meta.label}"
        yield Page(label, path, by_staff=True)
        count = model._default_manager.count()
        if count > 200:
            yield Page(f"{label}: last page", f"{path}?p={count // model_admin.list_per_page}", by_staff=True)
        if model_admin.search_fields and count:
            for word in (COMMON_WORD, RARE_WORD, BUSIEST):
                yield Page(f"{label}: search, {word}", f"{path}?q={word}", by_staff=True, is_search=True)
        if count and model_admin.date_hierarchy:
            day = getattr(model._default_manager.latest(model_admin.date_hierarchy), model_admin.date_hierarchy)
            month = f"{model_admin.date_hierarchy}__year={day.year}&{model_admin.date_hierarchy}__month={day.month}"
            yield Page(f"{label}: a month", f"{path}?{month}", by_staff=True)
    yield from _more_admin_pages()


def _more_admin_pages() -> Iterator[Page]:
    """Yield what a list of all models does not lead to: filters, and the pages of the largest rows."""
    from django.urls import reverse
    from django.utils import timezone

    from apps.accounts.models import User
    from apps.conversations.models import Turn
    from apps.voices.models import VoiceProfile

    turns = reverse("admin:conversations_turn_changelist")
    conversation, mine = longest_conversation(), User.objects.get(username=BUSIEST)
    turn = Turn.objects.filter(conversation=conversation).values_list("pk", flat=True)[0]
    yield Page("admin turns: failed", f"{turns}?status__exact=failed", by_staff=True)
    yield Page("admin turns: code of a failure", f"{turns}?error_code__exact=provider_timeout", by_staff=True)
    yield Page("admin turns: a month", f"{turns}?month={timezone.now():%Y-%m}", by_staff=True)
    yield Page("admin turns: a year", f"{turns}?created_at__gte={timezone.now().year}-01-01T00:00Z", by_staff=True)
    yield Page("admin turns: failed stage", f"{turns}?failed_stage__exact=speak", by_staff=True)
    yield Page("admin turns: of a person", f"{turns}?person={BUSIEST}", by_staff=True)
    yield Page("admin turns: heard by an engine", f"{turns}?heard_by=openai", by_staff=True)
    yield Page("admin turns: heard by a rare engine", f"{turns}?heard_by=local", by_staff=True)
    yield Page("admin turns: of an engine", f"{turns}?engine=local", by_staff=True)
    yield Page("admin turns: of a rare engine", f"{turns}?engine=server", by_staff=True)
    yield Page("admin turns: of a model", f"{turns}?model=default", by_staff=True)
    yield Page("admin turns: of voices with a name", f"{turns}?of_voice=Voice+1", by_staff=True)
    conversations = reverse("admin:conversations_conversation_changelist")
    yield Page("admin conversations: failed", f"{conversations}?turns=failed", by_staff=True)
    yield Page("admin conversations: of a person", f"{conversations}?person={BUSIEST}", by_staff=True)
    code = "error_code__exact=provider_timeout"
    yield Page("admin conversations: code of a failure", f"{conversations}?{code}", by_staff=True)
    voices = reverse("admin:voices_voiceprofile_changelist")
    yield Page("admin voices: without samples", f"{voices}?look=no_samples", by_staff=True)
    voice = VoiceProfile.objects.filter(owner=mine).values_list("pk", flat=True)[0]
    yield Page("admin: a voice", reverse("admin:voices_voiceprofile_change", args=[voice]), by_staff=True)
    yield Page("admin: a turn", reverse("admin:conversations_turn_change", args=[turn]), by_staff=True)
    change = reverse("admin:conversations_conversation_change", args=[conversation])
    yield Page("admin: longest conversation", change, by_staff=True)
    yield Page("admin: busiest user", reverse("admin:accounts_user_change", args=[mine.pk]), by_staff=True)
    yield Page("admin: delete busiest user", reverse("admin:accounts_user_delete", args=[mine.pk]), by_staff=True)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
