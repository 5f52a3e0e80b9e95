from __future__ import annotations

import pytest

from apps.speech.addresses import host_and_port, host_of, is_openai, serves_openai_models, service_name


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://api.openai.com/v1", "OpenAI"),
        ("https://eu.api.openai.com/v1", "OpenAI"),
        ("https://api.eu.residency.elevenlabs.io", "ElevenLabs"),
        ("https://api.openai.com.example.org/v1", "api.openai.com.example.org"),
        ("https://notapi.openai.com/v1", "notapi.openai.com"),
        ("http://user:secret@LOCALHOST:8000/v1", "localhost"),
        ("http://[::1]:8000/v1", "::1"),
    ],
)
def test_only_the_hosts_of_a_service_bear_its_name(address: str, name: str) -> None:
    assert service_name(address) == name
    assert is_openai(address) == (name == "OpenAI")


def test_hosts_are_shown_without_passwords() -> None:
    address = "http://user:p@ss@127.0.0.1:8000/v1"
    assert (host_of(address), host_and_port(address)) == ("127.0.0.1", "127.0.0.1:8000")


def test_azure_serves_openais_models_and_is_not_openai() -> None:
    address = "https://mine.openai.azure.com/openai/v1"
    assert serves_openai_models(address)
    assert not is_openai(address)
