"""What the site does on PostgreSQL only, in a run of its own: all other tests are on the database of the settings."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.conf import settings

from tests.postgresql import running_postgresql

TESTS = [
    "tests/conversations/test_growth.py",
    "tests/conversations/test_search.py",
    "tests/background/test_backups.py::TestRefusals::test_tables_of_a_newer_version_are_named",
]


@pytest.mark.skipif("sqlite" not in settings.DATABASES["default"]["ENGINE"], reason="they run on PostgreSQL anyway")
def test_tests_of_the_database_pass_on_postgresql() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
    with running_postgresql() as url:
        run = subprocess.run(  # noqa: S603
            command,
            cwd=settings.BASE_DIR,
            env=os.environ | {"TEST_DATABASE_URL": url},
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
    assert run.returncode == 0, run.stdout + run.stderr
