"""What the settings make of the environment: an invalid value stops the start with its name, and without secrets."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import environ
import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

SECRET = "a-secret-value"
BASE_DIR: Path = django_settings.BASE_DIR


def load_settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> dict[str, Any]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(BASE_DIR / "voiceclone" / "settings.py"))


def manage_check(**variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "voiceclone.settings"} | variables
    command = [sys.executable, "manage.py", "check"]
    return subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, check=False)  # noqa: S603


class TestStart:
    def test_a_secret_key_is_enough(self) -> None:
        result = manage_check(SECRET_KEY=SECRET * 4)
        assert result.returncode == 0, result.stderr
        assert "no issues" in result.stdout

    def test_an_invalid_value_stops_it_with_one_line_that_names_the_variable(self) -> None:
        result = manage_check(DATABASE_URL=f"mysql://user:{SECRET}@host/name")
        assert result.returncode == 1
        assert result.stderr.count("\n") == 1
        assert "DATABASE_URL must be" in result.stderr
        assert SECRET not in result.stdout + result.stderr


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("SECRET_KEY", ""),
            ("SECRET_KEY", "  "),
            ("DEBUG", "maybe"),
            ("LIMITS", "2"),
            ("SECURE_SSL_REDIRECT", "enabled"),
            ("REGISTRATION", "yes"),
            ("EMAIL_VERIFICATION", "on"),
            ("MAX_UPLOAD_MEGABYTES", "0"),
            ("MAX_UPLOAD_MEGABYTES", "50 MB"),
            ("MIN_SAMPLE_SECONDS", "ten"),
            ("MAX_SAMPLE_SECONDS", "9"),
            ("MAX_QUESTION_SECONDS", "1.5"),
            ("MEMORY_TURNS", "-1"),
            ("MAX_REPLY_TOKENS", "9" * 5000),
            ("OPENAI_REASONING_EFFORT", "much"),
            ("SPEECH_TO_TEXT", "elevenlabs"),
            ("LANGUAGE_MODEL", "gpt"),
            ("SPEECH_TO_TEXT", "local,local"),
            ("LANGUAGE_MODEL", "local,openai,local"),
            ("TEXT_TO_SPEECH", "openai"),
            ("TEXT_TO_SPEECH", "elevenlabs,local"),
            ("HEAR_SECONDS", "0"),
            ("TURN_SECONDS", "nan"),
            ("FIRST_AUDIO_SECONDS", "soon"),
            ("BREAKER_FAILURES", "0"),
            ("SHUTDOWN_GRACE_SECONDS", "-1"),
            ("METRICS_TOKEN", "short"),
            ("OPENAI_BASE_URL", "api.openai.com/v1"),
            ("OPENAI_BASE_URL", "ftp://example.org"),
            ("OPENAI_BASE_URL", "http://[::1"),
            ("STT_BASE_URL", "localhost:8000"),
            ("CHAT_BASE_URL", "http://"),
            ("CHAT_BASE_URL", f"http://user:{SECRET}@localhost:8080/v1"),
            ("ELEVENLABS_BASE_URL", "http://host:port"),
            ("VOICE_BASE_URL", "10.0.0.5:8000/v1"),
            ("VOICE_DIALECT", "soap"),
            ("CORS_ALLOWED_ORIGINS", "localhost:3000"),
            ("CORS_ALLOWED_ORIGINS", "https://example.org/path"),
            ("CSRF_TRUSTED_ORIGINS", "https://[x"),
            ("DATABASE_URL", f"mysql://user:{SECRET}@host/name"),
            ("DATABASE_URL", f"postgres://user:{SECRET}@host:port/name"),
            ("DATABASE_URL", f"postgres://user:{SECRET}@host"),
            ("DATABASE_URL", SECRET),
            ("CACHE_URL", f"other://{SECRET}"),
            ("SHARED_LIMITS_URL", f"http://{SECRET}@host"),
            ("PROCESSES", "0"),
            ("EMAIL_URL", f"post://user:{SECRET}@host"),
            ("EMAIL_URL", f"smtp+tls://user:{SECRET}@host:port"),
            ("EMAIL_URL", "filemail://"),
            ("EMAIL_URL", "filemail://var/mails"),
            ("SITE_URL", "voice.example.org"),
            ("SITE_URL", "https://voice.example.org/path"),
            ("SITE_URL", "https://a.example.org,https://b.example.org"),
            ("ADMIN_SECOND_FACTOR", "maybe"),
            ("CONSENT", "none"),
            ("CONSENT_VALID_DAYS", "0"),
            ("SPEAKER_SIMILARITY", "0.8"),
            ("MODELS_DIR", "~no-such-user/models"),
        ],
    )
    def test_an_invalid_value_is_refused_with_its_name_and_the_valid_values(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str
    ) -> None:
        with pytest.raises(ImproperlyConfigured, match=rf"{name} must be \S+") as caught:
            load_settings(monkeypatch, **{name: value})
        assert SECRET not in str(caught.value)
        assert caught.value.__suppress_context__ or not caught.value.__context__

    @pytest.mark.parametrize(
        ("variables", "address"),
        [
            ({}, ""),
            ({"CACHE_URL": "redis://host:6379/0"}, "redis://host:6379/0"),
            ({"CACHE_URL": "redis://host:6379/0", "SHARED_LIMITS_URL": "rediss://other/1"}, "rediss://other/1"),
        ],
    )
    def test_processes_share_limits_in_the_redis_of_the_cache(
        self, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], address: str
    ) -> None:
        assert load_settings(monkeypatch, **variables)["SHARED_LIMITS_URL"] == address

    @pytest.mark.parametrize(
        ("name", "engine", "key"),
        [
            ("SPEECH_TO_TEXT", "openai", "OPENAI_API_KEY"),
            ("LANGUAGE_MODEL", "openai", "OPENAI_API_KEY"),
            ("TEXT_TO_SPEECH", "elevenlabs", "ELEVENLABS_API_KEY"),
        ],
    )
    def test_a_service_needs_its_key(self, monkeypatch: pytest.MonkeyPatch, name: str, engine: str, key: str) -> None:
        with pytest.raises(ImproperlyConfigured, match=f"{name}={engine} needs {key}"):
            load_settings(monkeypatch, **{name: engine})
        assert load_settings(monkeypatch, **{name: engine, key: SECRET})[name] == engine

    @pytest.mark.parametrize(("name", "prefix"), [("SPEECH_TO_TEXT", "STT"), ("LANGUAGE_MODEL", "CHAT")])
    def test_a_stage_with_an_own_address_or_key_needs_no_common_key(
        self, monkeypatch: pytest.MonkeyPatch, name: str, prefix: str
    ) -> None:
        with monkeypatch.context() as patch:
            values = load_settings(patch, **{f"{prefix}_API_KEY": SECRET})
            assert values[name] == "openai"
        values = load_settings(monkeypatch, **{f"{prefix}_BASE_URL": "http://127.0.0.1:8000/v1"})
        assert values[name] == "openai"
        assert {values["SPEECH_TO_TEXT"], values["LANGUAGE_MODEL"]} == {"openai", "local"}
        assert values[f"{prefix}_API_KEY"] == ""

    @pytest.mark.parametrize(
        ("variables", "address", "key"),
        [
            ({}, "https://api.openai.com/v1", "common"),
            ({"OPENAI_BASE_URL": "http://a.example/v1"}, "http://a.example/v1", "common"),
            ({"CHAT_BASE_URL": "http://b.example/v1"}, "http://b.example/v1", ""),
            ({"CHAT_BASE_URL": "http://b.example/v1", "CHAT_API_KEY": "own"}, "http://b.example/v1", "own"),
            ({"CHAT_API_KEY": "own"}, "https://api.openai.com/v1", "own"),
            ({"CHAT_BASE_URL": "https://api.openai.com/v1/"}, "https://api.openai.com/v1", "common"),
            ({"CHAT_BASE_URL": "http://api.openai.com/v1"}, "http://api.openai.com/v1", ""),
            (
                {"OPENAI_BASE_URL": "http://a.example/v1", "CHAT_BASE_URL": "https://api.openai.com/v1"},
                "https://api.openai.com/v1",
                "",
            ),
            (
                {"OPENAI_BASE_URL": "http://a.example/v1", "CHAT_BASE_URL": "http://a.example/other/v1"},
                "http://a.example/other/v1",
                "",
            ),
        ],
    )
    def test_the_common_key_is_for_the_common_address_alone(
        self, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], address: str, key: str
    ) -> None:
        values = load_settings(monkeypatch, OPENAI_API_KEY="common", **variables)
        assert (values["CHAT_BASE_URL"], values["CHAT_API_KEY"]) == (address, key)
        assert values["STT_API_KEY"] == "common"

    def test_the_models_of_a_stage_replace_the_common_ones(self, monkeypatch: pytest.MonkeyPatch) -> None:
        common = {"OPENAI_STT_MODEL": "a", "OPENAI_CHAT_MODEL": "b", "OPENAI_CHAT_MODELS": "b,c"}
        values = load_settings(monkeypatch, **common)
        assert (values["STT_MODEL"], values["CHAT_MODEL"], values["CHAT_MODELS"]) == ("a", "b", ["b", "c"])
        values = load_settings(monkeypatch, STT_MODEL="d", CHAT_MODEL="e")
        assert (values["STT_MODEL"], values["CHAT_MODEL"], values["CHAT_MODELS"]) == ("d", "e", [])
        assert load_settings(monkeypatch, CHAT_MODELS="e,f")["CHAT_MODELS"] == ["e", "f"]

    @pytest.mark.parametrize(
        ("address", "chosen", "sent"),
        [
            ("", "", "none"),
            ("https://eu.api.openai.com/v1", "", "none"),
            ("http://127.0.0.1:11434/v1", "", "default"),
            ("http://127.0.0.1:11434/v1", "low", "low"),
        ],
    )
    def test_other_servers_are_asked_for_no_reasoning_effort_by_default(
        self, monkeypatch: pytest.MonkeyPatch, address: str, chosen: str, sent: str
    ) -> None:
        values = load_settings(monkeypatch, CHAT_BASE_URL=address, OPENAI_REASONING_EFFORT=chosen)
        assert values["OPENAI_REASONING_EFFORT"] == sent

    def test_pocket_tts_is_used_only_by_choice(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        values = load_settings(monkeypatch, TEXT_TO_SPEECH="pocket", MODELS_DIR=str(tmp_path))
        assert (values["TEXT_TO_SPEECH"], values["POCKET_MODEL_DIR"]) == ("pocket", tmp_path / "pocket-tts")
        values = load_settings(monkeypatch, TEXT_TO_SPEECH="", POCKET_MODEL_DIR=str(tmp_path / "own"))
        assert (values["TEXT_TO_SPEECH"], values["POCKET_MODEL_DIR"]) == ("local", tmp_path / "own")

    def test_without_keys_everything_is_embedded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        values = load_settings(monkeypatch)
        assert {values[name] for name in ("SPEECH_TO_TEXT", "LANGUAGE_MODEL", "TEXT_TO_SPEECH")} == {"local"}

    def test_a_key_switches_its_service_on_and_a_choice_overrides_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        values = load_settings(monkeypatch, OPENAI_API_KEY=SECRET, ELEVENLABS_API_KEY=SECRET, LANGUAGE_MODEL="LOCAL")
        assert (values["SPEECH_TO_TEXT"], values["LANGUAGE_MODEL"]) == ("openai", "local")
        assert values["TEXT_TO_SPEECH"] == "elevenlabs"

    def test_a_voice_server_needs_its_address_and_has_no_known_price(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ImproperlyConfigured, match="TEXT_TO_SPEECH=server needs VOICE_BASE_URL"):
            load_settings(monkeypatch, TEXT_TO_SPEECH="server")
        monkeypatch.delenv("TEXT_TO_SPEECH")
        values = load_settings(monkeypatch, VOICE_BASE_URL="http://10.0.0.5:8000/v1/")
        assert (values["TEXT_TO_SPEECH"], values["VOICE_DIALECT"]) == ("server", "openai")
        assert values["VOICE_BASE_URL"] == "http://10.0.0.5:8000/v1"
        assert values["PRICES"]["thousand_characters_spoken"] is None
        assert load_settings(monkeypatch, ELEVENLABS_API_KEY=SECRET)["TEXT_TO_SPEECH"] == "elevenlabs"

    def test_the_defaults_are_safe(self, monkeypatch: pytest.MonkeyPatch) -> None:
        values = load_settings(monkeypatch, LIMITS="")
        assert (values["DEBUG"], values["LIMITS"], values["ADMIN_SECOND_FACTOR"]) == (False, True, True)
        assert values["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
        assert values["CORS_ALLOWED_ORIGINS"] == ["http://localhost:3000", "http://127.0.0.1:3000"]

    @pytest.mark.parametrize(
        ("email_url", "choice", "verification"),
        [
            ("", "", "optional"),
            ("consolemail://", "mandatory", "mandatory"),
            ("smtp+tls://user:password@host:587", "", "mandatory"),
            ("smtp://host", "none", "none"),
        ],
    )
    def test_email_verification_is_mandatory_if_mail_is_delivered(
        self, monkeypatch: pytest.MonkeyPatch, email_url: str, choice: str, verification: str
    ) -> None:
        values = load_settings(monkeypatch, EMAIL_URL=email_url, EMAIL_VERIFICATION=choice)
        assert values["ACCOUNT_EMAIL_VERIFICATION"] == verification
        assert values["MAIL_IS_DELIVERED"] == email_url.startswith("smtp")

    @pytest.mark.parametrize("address", ["filemail:///srv/mails", "filemail:////srv/mails"])
    def test_mails_are_written_to_an_absolute_folder(self, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
        assert load_settings(monkeypatch, EMAIL_URL=address)["EMAIL_FILE_PATH"] == "/srv/mails"

    def test_earlier_secret_keys_and_the_address_are_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        values = load_settings(monkeypatch, SECRET_KEY_FALLBACKS="first, second", SITE_URL="https://voice.example.org/")
        assert values["SECRET_KEY_FALLBACKS"] == ["first", "second"]
        assert values["SITE_URL"] == "https://voice.example.org"

    def test_tls_secures_cookies_and_switches_hsts_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        values = load_settings(monkeypatch, SECURE_SSL_REDIRECT="on")
        assert values["SESSION_COOKIE_SECURE"]
        assert values["CSRF_COOKIE_SECURE"]
        assert values["SECURE_HSTS_SECONDS"] > 0

    def test_only_sqlite_has_a_transaction_mode(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sqlite = load_settings(monkeypatch, DATABASE_URL="sqlite:////tmp/db.sqlite3")
        options = sqlite["DATABASES"]["default"]["OPTIONS"]
        assert options["transaction_mode"] == "IMMEDIATE"
        assert "journal_mode=WAL" in options["init_command"]
        postgres = load_settings(monkeypatch, DATABASE_URL="postgres://user:password@host:5432/name")
        assert "transaction_mode" not in postgres["DATABASES"]["default"]["OPTIONS"]

    def test_postgresql_has_a_pool(self, monkeypatch: pytest.MonkeyPatch) -> None:
        address = "postgres://user:password@host:5432/name?conn_max_age=60"
        values = load_settings(monkeypatch, DATABASE_URL=address, DATABASE_POOL_SIZE="5")["DATABASES"]["default"]
        assert values["OPTIONS"]["pool"]["max_size"] == 5
        assert values["CONN_MAX_AGE"] == 0  # Django refuses to keep a connection of a pool.

    def test_every_variable_is_in_the_example_file(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The settings read exactly the variables that `.env.example` lists."""
        read: set[str] = set()

        class Recorder(dict[str, str]):
            def get(self, name: str, default: Any = None) -> Any:
                read.add(name)
                return super().get(name, default)

        monkeypatch.setattr(environ.Env, "ENVIRON", Recorder(SECRET_KEY=SECRET))
        load_settings(monkeypatch)
        example = (BASE_DIR / ".env.example").read_text().splitlines()
        listed = {
            line.lstrip("# ").split("=")[0] for line in example if "=" in line.split(" ")[1 if line[:1] == "#" else 0]
        }
        assert read == listed


class TestLiveHearing:
    @pytest.mark.parametrize(
        ("variables", "engine", "model"),
        [
            ({}, "upload", ""),
            ({"ELEVENLABS_API_KEY": "a", "OPENAI_API_KEY": "b"}, "elevenlabs", "scribe_v2_realtime"),
            ({"OPENAI_API_KEY": "b"}, "openai", "gpt-live-transcribe"),
            (
                {"OPENAI_API_KEY": "b", "OPENAI_BASE_URL": "https://eu.api.openai.com/v1"},
                "openai",
                "gpt-live-transcribe",
            ),
            ({"OPENAI_API_KEY": "b", "OPENAI_BASE_URL": "https://gateway.example.org/v1"}, "upload", ""),
            ({"OPENAI_API_KEY": "b", "STT_BASE_URL": "http://127.0.0.1:8000/v1"}, "upload", ""),
            ({"ELEVENLABS_API_KEY": "a", "SPEECH_TO_TEXT": "local"}, "upload", ""),
            (
                {"ELEVENLABS_API_KEY": "a", "SPEECH_TO_TEXT": "local", "LIVE_SPEECH_TO_TEXT": "elevenlabs"},
                "elevenlabs",
                "scribe_v2_realtime",
            ),
            (
                {"STT_BASE_URL": "http://127.0.0.1:8000/v1", "LIVE_SPEECH_TO_TEXT": "openai", "LIVE_STT_MODEL": "ears"},
                "openai",
                "ears",
            ),
        ],
    )
    def test_the_keys_and_addresses_decide(
        self, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], engine: str, model: str
    ) -> None:
        values = load_settings(monkeypatch, **variables)
        assert (values["LIVE_SPEECH_TO_TEXT"], values["LIVE_STT_MODEL"]) == (engine, model)

    @pytest.mark.parametrize("engine", ["elevenlabs", "openai"])
    def test_a_service_needs_its_key(self, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
        with pytest.raises(ImproperlyConfigured, match=f"LIVE_SPEECH_TO_TEXT={engine} needs"):
            load_settings(monkeypatch, LIVE_SPEECH_TO_TEXT=engine)
