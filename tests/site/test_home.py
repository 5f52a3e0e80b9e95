"""The start page: its sounds, what it says about costs and places, and what it tells other programs."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings as django_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from apps.speech.audio.decoding import decode
from apps.speech.provenance.marks import AI_KEY, SOURCE_TYPE_KEY, SYNTHETIC, read_tags
from tests.factories import make_voice
from tests.fakes.provider import FakeProvider

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

    from apps.accounts.models import User

pytestmark = pytest.mark.django_db
STATIC = django_settings.BASE_DIR / "static"
CLONE = STATIC / "sound" / "clone.mp3"


def text_of(client: Client) -> str:
    return " ".join(client.get("/").content.decode().split())


class TestSounds:
    @pytest.mark.parametrize("name", ["recording", "clone"])
    def test_they_are_short_and_small(self, name: str) -> None:
        data = (STATIC / "sound" / f"{name}.mp3").read_bytes()
        assert len(data) <= 60_000
        assert 8 < decode(data, sample_rate=16_000, max_seconds=60).seconds < 12

    def test_the_clone_has_the_tags_of_every_answer(self) -> None:
        tags = read_tags(CLONE.read_bytes())
        assert (tags[AI_KEY], tags[SOURCE_TYPE_KEY]) == ("true", SYNTHETIC)

    def test_the_check_of_sound_files_recognises_them(self, client: Client) -> None:
        for sound, title in [(CLONE, "Tagged as made by AI"), (CLONE.with_name("recording.mp3"), "No mark found")]:
            upload = SimpleUploadedFile(sound.name, sound.read_bytes())
            assert title in client.post("/verify", {"file": upload}).content.decode()

    def test_they_are_loaded_only_when_they_are_played_and_the_clone_is_labelled(self, client: Client) -> None:
        text = text_of(client)
        assert len(re.findall(r'<audio [^>]*preload="none"', text)) == 2
        assert 'AI voice</span> </div> <div class="listen-track" data-track="sound-clone"' in text
        assert "public domain" in text


class TestCosts:
    def test_without_keys_it_costs_nothing_and_nothing_leaves(self, client: Client) -> None:
        text = text_of(client)
        assert '<p class="home-figure">Nothing.</p>' in text
        assert text.count("this site’s own machine") >= 3
        assert "Nothing that you say or write leaves this machine." in text

    def test_with_keys_the_services_are_named_with_what_they_get(
        self, client: Client, remote_engines: FakeProvider
    ) -> None:
        text = text_of(client)
        assert "Nothing that you say or write leaves" not in text
        assert "the prices of these services: 127.0.0.1, ElevenLabs." in text
        assert "<dt>Clones and speaks</dt><dd>ElevenLabs</dd>" in text
        assert "<strong>ElevenLabs:</strong>" in text
        assert "the recordings and the name of your voice, to clone it" in text

    def test_a_service_that_speaks_with_older_voices_is_named(
        self, client: Client, alice: User, settings: Settings
    ) -> None:
        make_voice(alice, "older")
        settings.TEXT_TO_SPEECH, settings.ELEVENLABS_API_KEY = "local", "key"
        text = text_of(client)
        assert "<dt>Clones and speaks</dt><dd>ElevenLabs, this site’s own machine</dd>" in text
        assert "the prices of these services: ElevenLabs." in text

    def test_the_limits_are_those_of_the_site(self, client: Client, settings: Settings) -> None:
        assert "each day (UTC)" not in text_of(client)
        settings.LIMITS, settings.LIMIT_REQUESTS_PER_DAY = True, 1500
        settings.LIMIT_HEARD_SECONDS_PER_DAY, settings.LIMIT_SPOKEN_CHARACTERS_PER_DAY = 60, 0
        text = text_of(client)
        assert "<li>1,500 requests</li><li>1 minute of listening</li>" in text
        assert "characters of speech" not in text


class TestWayOn:
    def test_visitors_can_make_a_voice_or_sign_in(self, client: Client) -> None:
        assert f'href="{reverse("account_signup")}">Make my voice' in text_of(client)

    def test_where_nobody_can_sign_up_it_is_not_offered(self, client: Client, settings: Settings) -> None:
        settings.REGISTRATION = "closed"
        assert "Make my voice" not in text_of(client)

    def test_the_way_on_of_somebody_without_a_voice_is_to_make_one(self, client: Client, alice: User) -> None:
        client.force_login(alice)
        assert 'button-main button-large" href="/voices/">Make a voice' in text_of(client)

    def test_the_way_on_of_somebody_with_a_voice_is_to_talk(self, client: Client, alice: User) -> None:
        make_voice(alice, "voice")
        client.force_login(alice)
        text = text_of(client)
        assert 'button-main button-large" href="/talk/">Talk' in text
        assert "Make my voice" not in text


class TestForOtherPrograms:
    def test_descriptions_and_a_picture_have_absolute_addresses(self, client: Client, settings: Settings) -> None:
        settings.SITE_URL = "https://voice.example.org"
        text = text_of(client)
        assert '<link rel="canonical" href="https://voice.example.org/">' in text
        assert text.count('content="https://voice.example.org/static/img/social.png"') == 2
        for name in ("description", "twitter:card", "twitter:description"):
            assert re.search(f'<meta name="{name}" content="[^"]+">', text)
        for name in ("og:title", "og:description", "og:url", "og:image:alt"):
            assert re.search(f'<meta property="{name}" content="[^"]+">', text)

    def test_the_picture_has_the_size_that_is_promised(self) -> None:
        data = Path(STATIC / "img" / "social.png").read_bytes()
        assert struct.unpack(">II", data[16:24]) == (1200, 630)
        assert len(data) < 100_000

    def test_search_engines_are_kept_to_the_pages_for_everybody(self, client: Client) -> None:
        response = client.get("/robots.txt")
        assert response["Content-Type"] == "text/plain; charset=utf-8"
        lines = response.content.decode().splitlines()
        assert lines[0] == "User-agent: *"
        assert "Disallow: /history/" in lines
        assert not {"Disallow: /", "Disallow: /verify", "Disallow: /privacy/"} & set(lines)
