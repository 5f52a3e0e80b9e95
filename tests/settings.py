"""The settings that tests run with: the project's own, in an environment without keys, `.env` or a real site's data."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 # Only a folder of our own in it is used.
ENOUGH_BYTES = 2 * 2**30


def _make_scratch_dir() -> Path:
    """Make a folder for everything that tests write, in memory where that is possible and no TMPDIR is set.

    The site waits until a file or a row is on the disk, which in memory is at once. Processes that tests start, such
    as those of pytest-xdist and Chromium, put their temporary files there, too.
    """
    if "TMPDIR" in os.environ or not _memory_can_be_used():
        return Path(tempfile.mkdtemp(prefix="voiceclone-tests-"))
    folder = tempfile.mkdtemp(prefix="voiceclone-tests-", dir=MEMORY)
    Path(folder).chmod(0o711)  # PostgreSQL runs as another user.
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    return Path(folder)


def _memory_can_be_used() -> bool:
    """Whether there is room, and programs may run from there: tests write some."""
    if not MEMORY.is_dir():
        return False
    limits = os.statvfs(MEMORY)
    return limits.f_bavail * limits.f_frsize > ENOUGH_BYTES and not limits.f_flag & os.ST_NOEXEC


SCRATCH_DIR = _make_scratch_dir()
atexit.register(shutil.rmtree, SCRATCH_DIR, ignore_errors=True)

# An empty value counts as not set, and hides what the developer's own environment or `.env` says.
for _line in (Path(__file__).parent.parent / ".env.example").read_text().splitlines():
    if "=" in _line and _line.lstrip("# ").split("=")[0].isupper():
        os.environ[_line.lstrip("# ").split("=")[0]] = ""
os.environ |= {
    "SECRET_KEY": "made-up-for-tests-and-used-nowhere-else-0123456789",
    "MEDIA_ROOT": str(SCRATCH_DIR / "media"),
    "MARKS_DIR": str(SCRATCH_DIR / "marks"),
    "DATABASE_URL": os.environ.get("TEST_DATABASE_URL", f"sqlite:///{SCRATCH_DIR / 'db.sqlite3'}"),
    # The small one, so that a turn with embedded engines takes a second.
    "LOCAL_CHAT_MODEL": "smollm2-135m-instruct",
    "MODELS_DIR": os.environ.get("TEST_MODELS_DIR", ""),
    # Processes that tests start download nothing.
    "FETCH_MODELS": "off",
    "EMAIL_URL": "memorymail://",
    "LIMITS": "off",
    # Of the limits in time, those stay that a slow machine does not come near to by itself.
    "DECODING_SECONDS": "60",
    "DECODING_WAIT_SECONDS": "60",
    "TURN_SECONDS": "600",
    # Processes that tests start keep what they compile for those after them: the application takes a second.
    "PYTHONDONTWRITEBYTECODE": "",
}

from voiceclone.settings import *  # noqa: E402, F403

STORAGES = {
    "default": STORAGES["default"],  # noqa: F405
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
if "sqlite" in DATABASES["default"]["ENGINE"]:  # noqa: F405
    # A file, since the server under test and the test itself look at it from different threads.
    DATABASES["default"]["TEST"] = {"NAME": str(SCRATCH_DIR / "test.sqlite3")}  # noqa: F405
    # Nothing needs to survive a loss of power. The last statement for a setting is the one that counts.
    DATABASES["default"]["OPTIONS"]["init_command"] += "PRAGMA synchronous=OFF;"  # noqa: F405
STATIC_ROOT = SCRATCH_DIR / "static"
STATIC_ROOT.mkdir()
WHITENOISE_USE_FINDERS = True
# Each test client makes the middleware anew; without this, that would list all static files each time.
WHITENOISE_AUTOREFRESH = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
