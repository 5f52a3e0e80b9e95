"""All settings, read from the environment and from `.env`. `.env.example` explains each variable."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import django_stubs_ext
from django.core.exceptions import ImproperlyConfigured

from apps.core.object_address import signed_origin
from apps.speech.addresses import ELEVENLABS_URL, LIVE_MODELS, OPENAI_URL, is_openai
from apps.speech.local import pocket_bundle
from apps.usage.prices import listed_prices
from voiceclone import sentry
from voiceclone.api_settings import REST_FRAMEWORK, SPECTACULAR_SETTINGS  # noqa: F401 - settings
from voiceclone.environment import Environment
from voiceclone.headers import CORS_ALLOW_HEADERS, CORS_EXPOSE_HEADERS, content_security_policy  # noqa: F401 - settings
from voiceclone.logging_config import logging_config

django_stubs_ext.monkeypatch()  # Allows generic types such as ModelAdmin[Turn] at runtime.

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"
VERSION = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"]
env = Environment(BASE_DIR / ".env")

# The site

SECRET_KEY = env.required("SECRET_KEY", "set to a long random text (`make run` writes one into .env)")
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS", [])
DEBUG = env.flag("DEBUG", default=False)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS")
SITE_URL = env.origin("SITE_URL")
LIMITS = env.flag("LIMITS", default=True)

INSTALLED_APPS = [
    "apps.site.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "corsheaders",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_tasks",
    "django_tasks_db",
    # Personal data is exported and erased in this order: apps that refer to the account come before it.
    "apps.voices",
    "apps.conversations",
    "apps.webhooks",
    "apps.usage",
    "apps.background",
    "apps.privacy",
    "apps.accounts",
    "apps.site",
    "apps.core",
    "apps.speech",
]

MIDDLEWARE = [
    # First, so that responses of other middleware, such as the redirect to HTTPS, get these headers too.
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "voiceclone.middleware.security_headers",
    "voiceclone.middleware.private_responses",
    "django.middleware.security.SecurityMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "voiceclone.middleware.body_limit",
    "voiceclone.middleware.pages_for_wrong_methods",
    "voiceclone.static.StaticFilesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

ROOT_URLCONF = "voiceclone.urls"
ASGI_APPLICATION = "voiceclone.asgi.application"
WSGI_APPLICATION = "voiceclone.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.site.outages.outages",
            ],
        },
    },
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_TZ = True

# Data

DATABASES = {"default": env.database("DATABASE_URL", f"sqlite:///{VAR_DIR / 'db.sqlite3'}")}
_pool_size = env.integer("DATABASE_POOL_SIZE", 8, minimum=2, maximum=1000)
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    VAR_DIR.mkdir(exist_ok=True)
    # IMMEDIATE takes the write lock at the start of a transaction. With the default, concurrent writers that read
    # before they write fail with "database is locked".
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        # FULL: a row is on the disk when it is committed. With NORMAL, a power cut loses what was paid for. And
        # `secure_delete` overwrites deleted rows, so that nobody can read them in the file.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;",
    }
else:
    # For each process. A request waits for a connection for at most `timeout` seconds.
    _pool = {"min_size": 1, "max_size": _pool_size, "timeout": 4}
    DATABASES["default"] |= {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True}
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = _pool
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {"default": env.cache("CACHE_URL", "locmemcache://")}
SHARED_LIMITS_URL = env.redis("SHARED_LIMITS_URL", CACHES["default"])
PROCESSES = env.integer("PROCESSES", 1, minimum=1, maximum=1000)

# Background tasks are queued in the database. `manage.py worker` runs them: docs/decisions/0025-queues.md
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["urgent", "erasures", "default"]}}

# A folder, which MEDIA_ROOT names as well, or an object store. With that, MEDIA_ROOT is the cache of embedded voices.
MEDIA_STORAGE, MEDIA_ROOT, _media = env.media_storage(VAR_DIR / "media")
MEDIA_SIGNED_URLS = env.flag("MEDIA_SIGNED_URLS", default=False)
CONTENT_SECURITY_POLICY = content_security_policy(media=[signed_origin(MEDIA_STORAGE)] if MEDIA_SIGNED_URLS else [])
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": _media,
    "staticfiles": {"BACKEND": "voiceclone.static.StaticFilesStorage"},
}
FILE_UPLOAD_PERMISSIONS = 0o600
# The folder of the key and certificate that sign synthetic speech: made on the first start, unless the operator sets
# others below, as paths or PEM. Never inside MEDIA_ROOT.
MARKS_DIR = env.path("MARKS_DIR", VAR_DIR / "marks")
MARKS_CERTIFICATE = env.text("MARKS_CERTIFICATE")
MARKS_KEY = env.text("MARKS_KEY")
if bool(MARKS_CERTIFICATE) != bool(MARKS_KEY):
    raise ImproperlyConfigured("Set both MARKS_CERTIFICATE and MARKS_KEY, or neither of them.")
# With less free space, no new work is accepted: the database on the same disk needs room for running work.
MIN_FREE_BYTES = env.integer("MIN_FREE_MEGABYTES", 100, minimum=0, maximum=10**6) * 1_000_000
MAX_UPLOAD_BYTES = env.integer("MAX_UPLOAD_MEGABYTES", 50, minimum=1, maximum=1000) * 1_000_000

# Accounts

AUTH_USER_MODEL = "accounts.User"
SESSION_ENGINE = "apps.accounts.sessions"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "apps.accounts.passwords.LengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_REDIRECT_URL = "conversations:talk"
REGISTRATION = env.choice("REGISTRATION", "open", ["open", "invite", "closed"])
ACCOUNT_ADAPTER = "apps.accounts.adapters.AccountAdapter"
ACCOUNT_FORMS = {"signup": "apps.accounts.forms.SignupForm"}
ACCOUNT_LOGOUT_REDIRECT_URL = "home"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[VoiceClone] "
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
# The way in for people whose new device is blocked by a distributed attack on their account.
ACCOUNT_LOGIN_ON_PASSWORD_RESET = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
MFA_ADAPTER = "apps.accounts.adapters.SecondFactorAdapter"
MFA_TOTP_ISSUER = "VoiceClone"
ADMIN_SECOND_FACTOR = env.flag("ADMIN_SECOND_FACTOR", default=True)
if not LIMITS:
    ACCOUNT_RATE_LIMITS: Any = False

_email = env.email("EMAIL_URL", "consolemail://")
EMAIL_BACKEND = _email["EMAIL_BACKEND"]
EMAIL_HOST = _email.get("EMAIL_HOST") or "localhost"
EMAIL_PORT = _email.get("EMAIL_PORT") or 25
EMAIL_HOST_USER = _email.get("EMAIL_HOST_USER") or ""
EMAIL_HOST_PASSWORD = _email.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS = _email.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = _email.get("EMAIL_USE_SSL", False)
EMAIL_FILE_PATH = _email.get("EMAIL_FILE_PATH")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "voiceclone@localhost")
MAIL_IS_DELIVERED = EMAIL_BACKEND == "django.core.mail.backends.smtp.EmailBackend"
# If mail is only printed, nobody should need a link from a terminal before they can sign in.
ACCOUNT_EMAIL_VERIFICATION = env.choice(
    "EMAIL_VERIFICATION", "mandatory" if MAIL_IS_DELIVERED else "optional", ["mandatory", "optional", "none"]
)

# Security

SECURE_SSL_REDIRECT = env.flag("SECURE_SSL_REDIRECT", default=False)
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 31_536_000 if SECURE_SSL_REDIRECT else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_SSL_REDIRECT
SECURE_HSTS_PRELOAD = SECURE_SSL_REDIRECT
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT
CSRF_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
CORS_ALLOWED_ORIGINS = env.origins("CORS_ALLOWED_ORIGINS", ["http://localhost:3000", "http://127.0.0.1:3000"])
CORS_URLS_REGEX = r"^/(api/|v1/|clone-voice$|full-interaction$)"

# Speech engines

# The OPENAI_ variables are the default of both stages. A stage with an address of its own gets no key but its own.
OPENAI_BASE_URL = env.web_address("OPENAI_BASE_URL") or OPENAI_URL
_openai = {"address": OPENAI_BASE_URL, "key": env.text("OPENAI_API_KEY")}
STT_BASE_URL, STT_API_KEY = env.address_and_key("STT", **_openai)
STT_MODEL = env.text("STT_MODEL", env.text("OPENAI_STT_MODEL", "gpt-transcribe"))
CHAT_BASE_URL, CHAT_API_KEY = env.address_and_key("CHAT", **_openai)
CHAT_MODEL = env.text("CHAT_MODEL", env.text("OPENAI_CHAT_MODEL", "gpt-6-luna"))
# The other models that a conversation can choose.
CHAT_MODELS = env.words("CHAT_MODELS", [] if env.text("CHAT_MODEL") else env.words("OPENAI_CHAT_MODELS", []))
# "default" leaves the choice to the server. Other servers than OpenAI's know other efforts, or none.
OPENAI_REASONING_EFFORT = env.choice(
    "OPENAI_REASONING_EFFORT",
    "none" if is_openai(CHAT_BASE_URL) else "default",
    ["none", "minimal", "low", "medium", "high", "default"],
)
ELEVENLABS_API_KEY = env.text("ELEVENLABS_API_KEY")
ELEVENLABS_BASE_URL = env.web_address("ELEVENLABS_BASE_URL")
ELEVENLABS_TTS_MODEL = env.text("ELEVENLABS_TTS_MODEL", "eleven_flash_v2_5")
ELEVENLABS_MAX_CONCURRENT = env.integer("ELEVENLABS_MAX_CONCURRENT", 10, minimum=1, maximum=1000)
# A server of the operator's own that clones voices: docs/voice-servers.md
VOICE_BASE_URL = env.web_address("VOICE_BASE_URL")
VOICE_DIALECT = env.choice("VOICE_DIALECT", "openai", ["openai", "reference", "chatterbox"])
VOICE_API_KEY = env.text("VOICE_API_KEY")
VOICE_MODEL = env.text("VOICE_MODEL")
VOICE_MAX_CONCURRENT = env.integer("VOICE_MAX_CONCURRENT", 4, minimum=1, maximum=1000)

SPEECH_TO_TEXT, SPEECH_TO_TEXT_FALLBACK = env.engine_and_fallback(
    "SPEECH_TO_TEXT", {"openai": ("OPENAI_API_KEY", "STT_API_KEY", "STT_BASE_URL")}
)
LANGUAGE_MODEL, LANGUAGE_MODEL_FALLBACK = env.engine_and_fallback(
    "LANGUAGE_MODEL", {"openai": ("OPENAI_API_KEY", "CHAT_API_KEY", "CHAT_BASE_URL")}
)
TEXT_TO_SPEECH = env.engine(
    "TEXT_TO_SPEECH", {"elevenlabs": ("ELEVENLABS_API_KEY",), "server": ("VOICE_BASE_URL",), "pocket": ()}
)

# Who hears while it is spoken. Other servers than OpenAI's rarely can. A site that hears on this machine goes on so.
_live_keys = {"elevenlabs": ELEVENLABS_API_KEY, "openai": STT_API_KEY if is_openai(STT_BASE_URL) else ""}
_live_default = next((engine for engine, key in _live_keys.items() if key), "upload")
if env.text("SPEECH_TO_TEXT").lower().startswith("local"):
    _live_default = "upload"
LIVE_SPEECH_TO_TEXT = env.choice("LIVE_SPEECH_TO_TEXT", _live_default, ["elevenlabs", "openai", "upload"])
_live_addresses = {"elevenlabs": ELEVENLABS_BASE_URL or ELEVENLABS_URL, "openai": STT_BASE_URL, "upload": ""}
_live_address = _live_addresses[LIVE_SPEECH_TO_TEXT]
if not _live_keys.get(LIVE_SPEECH_TO_TEXT) and (LIVE_SPEECH_TO_TEXT == "elevenlabs" or is_openai(_live_address)):
    raise ImproperlyConfigured(
        f"LIVE_SPEECH_TO_TEXT={LIVE_SPEECH_TO_TEXT} needs the key of that service. Set it, or choose upload."
    )
LIVE_STT_MODEL = env.text("LIVE_STT_MODEL", LIVE_MODELS.get(LIVE_SPEECH_TO_TEXT, ""))
# How many replies to one question may be begun before it has surely ended; each is a call of the language model.
LIVE_REPLIES_ON_TRUST = env.integer("LIVE_REPLIES_ON_TRUST", 3, minimum=0, maximum=100)
# A longer pause ends a question, whatever the model of turn ends says.
LIVE_LONGEST_PAUSE_SECONDS = env.seconds("LIVE_LONGEST_PAUSE_SECONDS", 2.5)
# After so long without sound, no connection to that service is kept.
LIVE_IDLE_SECONDS = env.seconds("LIVE_IDLE_SECONDS", 30)

# How long running requests may continue after a stop signal. After that, they are interrupted.
SHUTDOWN_GRACE_SECONDS = env.integer("SHUTDOWN_GRACE_SECONDS", 20, minimum=0, maximum=3600)

# Time limits, retries and circuit breakers of the services: docs/reliability.md

PROVIDER_CONNECT_SECONDS = env.seconds("PROVIDER_CONNECT_SECONDS", 3)
HEAR_SECONDS = env.seconds("HEAR_SECONDS", 30)
FIRST_TOKEN_SECONDS = env.seconds("FIRST_TOKEN_SECONDS", 10)
TOKEN_IDLE_SECONDS = env.seconds("TOKEN_IDLE_SECONDS", 10)
REPLY_SECONDS = env.seconds("REPLY_SECONDS", 60)
FIRST_AUDIO_SECONDS = env.seconds("FIRST_AUDIO_SECONDS", 8)
AUDIO_IDLE_SECONDS = env.seconds("AUDIO_IDLE_SECONDS", 5)
CLONE_SECONDS = env.seconds("CLONE_SECONDS", 60)
TURN_SECONDS = env.seconds("TURN_SECONDS", 120)
PROVIDER_RETRIES = env.integer("PROVIDER_RETRIES", 2, minimum=0, maximum=10)
BREAKER_FAILURES = env.integer("BREAKER_FAILURES", 5, minimum=1, maximum=1000)
BREAKER_SECONDS = env.seconds("BREAKER_SECONDS", 30)

_cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
MODELS_DIR = env.path("MODELS_DIR", _cache_home / "voiceclone" / "models")
FETCH_MODELS = env.flag("FETCH_MODELS", default=True)
LOCAL_STT_MODEL = env.text("LOCAL_STT_MODEL", "whisper-base")
LOCAL_CHAT_MODEL = env.text("LOCAL_CHAT_MODEL", "auto")
POCKET_MODEL_DIR = env.path("POCKET_MODEL_DIR", MODELS_DIR / pocket_bundle.POCKET_TTS)
# The only files that the runtime is given. No variable changes them.
POCKET_BUNDLE = pocket_bundle.OFFICIAL

# Limits of recordings and replies

MIN_SAMPLE_SECONDS = env.integer("MIN_SAMPLE_SECONDS", 10, minimum=1, maximum=600)
MAX_SAMPLE_SECONDS = env.integer("MAX_SAMPLE_SECONDS", 180, minimum=MIN_SAMPLE_SECONDS, maximum=3600)
RECOMMENDED_MIN_SAMPLE_SECONDS = env.integer("RECOMMENDED_MIN_SAMPLE_SECONDS", 60, minimum=1, maximum=3600)
RECOMMENDED_MAX_SAMPLE_SECONDS = env.integer("RECOMMENDED_MAX_SAMPLE_SECONDS", 120, minimum=1, maximum=3600)
MAX_QUESTION_SECONDS = env.integer("MAX_QUESTION_SECONDS", 120, minimum=1, maximum=600)
MEMORY_TURNS = env.integer("MEMORY_TURNS", 20, minimum=0, maximum=1000)
# How many segments may be synthesised at once. More would be paid for in vain when a person stops the answer.
SPEECH_IN_FLIGHT = env.integer("SPEECH_IN_FLIGHT", 3, minimum=1, maximum=10)
MAX_REPLY_TOKENS = env.integer("MAX_REPLY_TOKENS", 400, minimum=16, maximum=8192)

# Consent to the cloning of a voice

# "attested" accepts a ticked statement in place of a spoken one: the site then relies on people's own claims.
CONSENT = env.choice("CONSENT", "spoken", ["spoken", "attested"])
CONSENT_VALID_DAYS = env.integer("CONSENT_VALID_DAYS", 365, minimum=1, maximum=3650)
# How long the proof is kept after the consent has ended.
CONSENT_KEPT_DAYS = env.integer("CONSENT_KEPT_DAYS", 3 * 365, minimum=0, maximum=36500)
# Percent. Two recordings whose embeddings have at least this cosine are of one person: docs/decisions/0012-consent.md.
SPEAKER_SIMILARITY = env.integer("SPEAKER_SIMILARITY", 80, minimum=1, maximum=100)

# Resources of the processes that decode uploads

DECODING_PROCESSES = env.integer("DECODING_PROCESSES", 2, minimum=1, maximum=64)
DECODING_JOBS = env.integer("DECODING_JOBS", 1000, minimum=1, maximum=10**6)
DECODING_CPU_SECONDS = env.integer("DECODING_CPU_SECONDS", 5, minimum=1, maximum=600)
DECODING_SECONDS = env.integer("DECODING_SECONDS", 9, minimum=1, maximum=600)
DECODING_MEGABYTES = env.integer("DECODING_MEGABYTES", 512, minimum=400, maximum=64_000)
DECODING_WAIT_SECONDS = env.integer("DECODING_WAIT_SECONDS", 5, minimum=1, maximum=600)

# Usage limits of one person. Days are in UTC; 0 means no limit.

LIMIT_REQUESTS_PER_DAY = env.integer("LIMIT_REQUESTS_PER_DAY", 1000, minimum=0, maximum=10**9)
LIMIT_HEARD_SECONDS_PER_DAY = env.integer("LIMIT_HEARD_SECONDS_PER_DAY", 7200, minimum=0, maximum=10**9)
LIMIT_SPOKEN_CHARACTERS_PER_DAY = env.integer("LIMIT_SPOKEN_CHARACTERS_PER_DAY", 200_000, minimum=0, maximum=10**9)
LIMIT_CONCURRENT_REQUESTS = env.integer("LIMIT_CONCURRENT_REQUESTS", 5, minimum=0, maximum=10**6)
# US dollars, to estimate the cost of remote engines; embedded engines cost nothing. None means unknown. At other
# addresses than the makers' own, the list prices do not apply: the server may belong to another provider or region.
PRICES = env.prices(
    "PRICES",
    listed_prices(
        hearing=STT_MODEL if STT_BASE_URL == OPENAI_URL else "",
        live=LIVE_STT_MODEL if _live_address in (ELEVENLABS_URL, OPENAI_URL) else "",
        chat={CHAT_MODEL, *CHAT_MODELS} if CHAT_BASE_URL == OPENAI_URL else [],
        speaking="" if ELEVENLABS_BASE_URL or TEXT_TO_SPEECH == "server" else ELEVENLABS_TTS_MODEL,
    ),
)

# Personal data

# The operator of the site, who is named on the privacy page and gets the reports of abuse.
OPERATOR_NAME = env.text("OPERATOR_NAME")
OPERATOR_EMAIL = env.mail_address("OPERATOR_EMAIL")
ERASURE_COOLING_OFF_DAYS = env.integer("ERASURE_COOLING_OFF_DAYS", 7, minimum=0, maximum=90)
RETENTION_DAYS = env.integer("RETENTION_DAYS", 365, minimum=0, maximum=36_500)
RETENTION_NOTICE_DAYS = env.integer("RETENTION_NOTICE_DAYS", 30, minimum=0, maximum=365)
CONVERSATION_AUDIO_DAYS = env.integer("CONVERSATION_AUDIO_DAYS", 0, minimum=0, maximum=36_500)

# Webhooks

# Allows webhooks to private and loopback addresses and over plain HTTP. For development and tests only.
WEBHOOK_ALLOW_PRIVATE = env.flag("WEBHOOK_ALLOW_PRIVATE", default=False)
# The time limit for one delivery, in total.
WEBHOOK_SECONDS = 20

# Monitoring

# The bearer token for /metrics. Without it, only administrators can read them.
METRICS_TOKEN = env.random_text("METRICS_TOKEN", at_least=20)
RELEASE = env.text("RELEASE", VERSION)
OTEL_EXPORTER_OTLP_ENDPOINT = env.trace_collector("OTEL_EXPORTER_OTLP_ENDPOINT")
SENTRY_DSN = env.text("SENTRY_DSN")
if SENTRY_DSN:
    sentry.start(SENTRY_DSN, release=RELEASE)

# Logs

AUDIT_LOG = env.text("AUDIT_LOG")
LOGGING = logging_config(audit_log=AUDIT_LOG, release=RELEASE)
