"""`manage.py identity`: what this process has in common with the site, and what it has not."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core import identity
from apps.core.identity import PARTS, State
from apps.core.models import SiteIdentity
from apps.speech.provenance.certificates import CertificateError


class Command(BaseCommand):
    help = "Compare the secret, the signing key and the storage of this process with those of the site."

    def add_arguments(self, parser: ArgumentParser) -> None:
        help_text = "make this process's value the one of the site, after you changed it on purpose"
        parser.add_argument(
            "--accept", action="append", default=[], choices=list(PARTS), metavar="NAME", help=help_text
        )

    def handle(self, *_args: Any, accept: list[str], **_options: Any) -> None:
        for name in accept:
            self._accept(name)
        since = dict(SiteIdentity.objects.values_list("name", "since"))
        states = {name: part.state() for name, part in PARTS.items()}
        for name, state in states.items():
            day = f", since {since[name]:%Y-%m-%d %H:%M} UTC" if name in since else ""
            self.stdout.write(f"{name:8} {state}{day}")
        if different := [name for name, state in states.items() if state is State.DIFFERS]:
            raise CommandError("\n".join(PARTS[name].refusal for name in different))

    @staticmethod
    def _accept(name: str) -> None:
        try:
            PARTS[name].accept()
            identity.remember_certificates()
        except (OSError, CertificateError) as error:
            raise CommandError(str(error)) from error
