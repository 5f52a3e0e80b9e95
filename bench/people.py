"""The accounts of a run."""

from __future__ import annotations

import logging
from typing import NamedTuple

import django
from django.core.management import call_command

from bench import client, processes


class Person(NamedTuple):
    """An account with a voice: an API token, the id of the voice, and its id at the provider."""

    token: str
    voice: str
    voice_id: str


def sign_up(count: int, providers: processes.Server) -> list[Person]:
    """Create the database with `count` people."""
    django.setup()
    logging.getLogger("voiceclone").setLevel(logging.WARNING)  # Without a line for each token.
    from apps.accounts.models import User
    from apps.accounts.services import create_api_token
    from tests.factories import make_voice

    call_command("migrate", verbosity=0)
    people = []
    for number in range(count):
        user = User.objects.create_user(f"person-{number}")
        voice = make_voice(user, client.add_voice(providers.url))
        people.append(Person(create_api_token(owner=user, name="bench"), str(voice.pk), voice.voice_id))
    return people
