"""While a site is brought up to date, processes of the previous release go on beside new ones, on the new tables.

The previous release is the newest tag, or PREVIOUS_RELEASE. Before the first tag, it is the oldest commit with the
migrations of now. docs/development.md has the rule for migrations.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.client import Api, turns_path
from tests.processes import Site, migrated_database, remote, running_site
from tests.rolling.revisions import checked_out, first_commit_with_these_migrations, newest_tag

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.provider import FakeProvider

SERVER = ["uvicorn", "voiceclone.asgi:application"]


@pytest.fixture
def previous(tmp_path: Path) -> Path:
    """The folder of the previous release."""
    revision = os.environ.get("PREVIOUS_RELEASE") or newest_tag() or first_commit_with_these_migrations()
    if not revision:
        pytest.skip("nothing is released yet, and no commit has these migrations")
    return checked_out(revision, tmp_path / "previous")


def test_old_and_new_processes_share_the_new_tables(tmp_path: Path, provider: FakeProvider, previous: Path) -> None:
    shutil.copy(migrated_database(), tmp_path / "shared.sqlite3")
    shared = {
        "DATABASE_URL": f"sqlite:///{tmp_path}/shared.sqlite3",
        "MEDIA_ROOT": str(tmp_path / "media"),
        "MARKS_DIR": str(tmp_path / "marks"),
        **remote(provider),
    }
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    with (
        running_site(SERVER, tmp_path / "old", 0, previous, **shared) as old,
        running_site(SERVER, tmp_path / "new", **shared) as new,
    ):
        conversation, token = new.add_conversation(provider.add_voice("Jane"))
        talk(old, new, conversation, token)
        talk(new, old, conversation, token)
        work(previous, old)
        work(previous, new)


def talk(first: Site, second: Site, conversation: str, token: str) -> None:
    """Do on one site what writes rows, and look at them on the other."""
    with Api(first.url, token) as here, Api(second.url, token) as there:
        asked = here.ask(conversation).json()
        assert asked["status"] == "spoken", asked["error"]
        assert here.events_of_turn(conversation, text="And then?")[-1].name == "done"
        read = there.get(f"/api/v1/conversations/{conversation}").json()
        assert asked["id"] in [turn["id"] for turn in read["turns"]]
        assert there.get(f"/api/v1/turns/{asked['id']}/audio").ok
        assert there.get(f"/api/v1/turns/{asked['id']}/question").ok
        again = there.post(f"/api/v1/turns/{asked['id']}/regenerate", json={})
        assert again.status_code in {200, 201}, again.text
        voice = there.get("/api/v1/voices").json()["results"][0]
        assert there.patch(f"/api/v1/voices/{voice['id']}", json={"name": f"Jane {first.url[-4:]}"}).ok
        made = here.post("/api/v1/conversations", json={"voice": voice["id"]}).json()
        assert there.post(turns_path(made["id"]), json={"text": "Hello?"}).json()["status"] == "spoken"
        assert here.delete(f"/api/v1/conversations/{made['id']}").status_code == 204
        assert there.get("/readyz").json()["database"]


def work(code: Path, site: Site) -> None:
    """Let the old worker do what waits."""
    command = [sys.executable, "manage.py", "worker", "--batch", "--no-startup-delay"]
    done = subprocess.run(  # noqa: S603
        command, cwd=code, env=site.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
