"""The addresses of remote services and whose they are, and the models that are asked for there."""

from __future__ import annotations

from urllib.parse import urlsplit

OPENAI_URL = "https://api.openai.com/v1"
ELEVENLABS_URL = "https://api.elevenlabs.io"

# The models that hear while it is spoken, by the engines of the setting.
LIVE_MODELS = {"elevenlabs": "scribe_v2_realtime", "openai": "gpt-live-transcribe"}

_NAMES = {"api.openai.com": "OpenAI", "elevenlabs.io": "ElevenLabs"}
_AZURE_HOSTS = ("openai.azure.com", "services.ai.azure.com", "cognitiveservices.azure.com")


def host_of(address: str) -> str:
    """Return the host name in `address`, without port, user name and password; "" if there is none."""
    return urlsplit(address).hostname or ""


def host_and_port(address: str) -> str:
    """Return the host name in `address`, with its port if it names one, without user name and password."""
    return urlsplit(address).netloc.rpartition("@")[2]


def service_name(address: str) -> str:
    """Return the name of the service whose own or regional address this is, else the host name."""
    host = host_of(address)
    return next((name for own, name in _NAMES.items() if _is_at(host, own)), host)


def is_openai(address: str) -> bool:
    """Tell whether OpenAI itself answers at `address`, in any region."""
    return _is_at(host_of(address), "api.openai.com")


def serves_openai_models(address: str) -> bool:
    """Tell whether OpenAI's models are behind `address`, at OpenAI itself or at Azure."""
    return is_openai(address) or any(_is_at(host_of(address), host) for host in _AZURE_HOSTS)


def _is_at(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")
