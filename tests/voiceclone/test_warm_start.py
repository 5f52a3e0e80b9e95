from __future__ import annotations

from pathlib import Path

from tests.client import Api
from tests.fakes.provider import FakeProvider
from tests.processes import remote, running_site


def test_requests_import_no_modules(tmp_path: Path, provider: FakeProvider) -> None:
    server = ["uvicorn", "voiceclone.asgi:application"]
    with running_site(server, tmp_path, PYTHONPROFILEIMPORTTIME="1", **remote(provider)) as site:
        conversation, token = site.add_conversation(provider.add_voice("Jane"))
        with Api(site.url, token) as api:
            assert api.get("/api/v1/voices").ok
            assert api.ask(conversation).json()["status"] == "spoken"
        log = site.log.read_text()
    _startup, _, requests = log.partition("Application startup complete.")
    assert requests
    assert [line for line in requests.splitlines() if line.startswith("import time:")] == []
