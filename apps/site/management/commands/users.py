from __future__ import annotations

import json as json_format
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q

from apps.accounts.models import User
from apps.core.tables import table
from apps.privacy.staff_groups import make_groups
from apps.usage.limits import LIMIT_NAMES, limits_of, set_limits, site_limits
from apps.usage.models import PersonLimits

# The option that sets each limit.
OPTIONS = {
    "requests_per_day": "requests",
    "heard_seconds_per_day": "heard-seconds",
    "spoken_characters_per_day": "characters",
    "concurrent_requests": "concurrent",
}
SITE = "site"


class Command(BaseCommand):
    help = "Show and set the limits of people, and make the groups of staff."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        limits = commands.add_parser(
            "limits",
            help="show or set limits",
            description="Without a user: the limits of the site, and of all people who have their own. With one: the "
            "user's limits; with an option too: set them, from the next request on.",
        )
        limits.add_argument("user", nargs="?", help="a user name or an email address")
        for name, option in OPTIONS.items():
            about = f"{name.replace('_', ' ')}: a number (0: no limit), or “{SITE}” for the limit of the site"
            limits.add_argument(f"--{option}", type=_limit, dest=name, metavar="N", help=about)
        limits.add_argument("--json", action="store_true", help="print JSON")
        groups = commands.add_parser(
            "groups",
            help="make the groups of staff",
            description="Make the groups “Support (metadata)” and “Content reviewers”, or give them their permissions "
            "again. Put staff into them in the admin.",
        )
        groups.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *_args: Any, command: str, json: bool, **options: Any) -> None:
        rows = self._groups() if command == "groups" else _limits(**options)
        if json:
            self.stdout.write(json_format.dumps(rows, indent=2))
        else:
            self.stdout.write(table([list(rows[0]), *(list(row.values()) for row in rows)]))

    @staticmethod
    def _groups() -> list[dict[str, Any]]:
        return [
            {"group": name, "permission": permission} for name, all_of in make_groups().items() for permission in all_of
        ]


def _limit(text: str) -> int | str:
    """Return the number, or SITE. Raises ValueError, which argparse reports."""
    if text == SITE:
        return SITE
    if not 0 <= (number := int(text)) <= 10**9:
        raise ValueError
    return number


def _limits(user: str | None, **options: Any) -> list[dict[str, Any]]:
    """Set the limits that `options` name, and return those in force, by person."""
    new = {name: options[name] for name in LIMIT_NAMES if options[name] is not None}
    if user is None:
        if new:
            raise CommandError("Name the user whose limits to set. Those of the site are settings: LIMIT_…")
        people = User.objects.filter(pk__in=PersonLimits.objects.values("owner")).order_by("username")
        return [{"user": f"({SITE})", **asdict(site_limits()), "own": ""}, *map(_row, people)]
    person = _person(user)
    if new:
        own = PersonLimits.objects.filter(owner=person).values(*LIMIT_NAMES).first() or dict.fromkeys(LIMIT_NAMES)
        values = {name: None if value == SITE else value for name, value in new.items()}
        set_limits(owner_id=person.pk, **{**own, **values})
    return [_row(person)]


def _row(person: User) -> dict[str, Any]:
    own = PersonLimits.objects.filter(owner=person).values(*LIMIT_NAMES).first() or {}
    names = [name for name, value in own.items() if value is not None]
    return {"user": person.username, **asdict(limits_of(person.pk)), "own": " ".join(names)}


def _person(name: str) -> User:
    found = User.objects.filter(username=name).first() or User.objects.filter(Q(email__iexact=name)).first()
    if found is None:
        raise CommandError(f"There is no user {name!r}.")
    return found
