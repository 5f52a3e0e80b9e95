"""The files of deploy/, the Dockerfile and compose.yaml say what is true of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from apps.speech.provenance.certificates import make_identity
from tests.nginx import write_configuration
from tests.ports import free_port
from voiceclone.server import INTERRUPTION_SECONDS

ROOT = settings.BASE_DIR
DEPLOY = ROOT / "deploy"
COMPOSE = ROOT / "compose.yaml"
DOCKERFILE = ROOT / "Dockerfile"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
# Variables that other programs read: uvicorn, Python and the shell.
OF_OTHERS = {"FORWARDED_ALLOW_IPS", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
OF_BUILD = {"PIP_DISABLE_PIP_VERSION_CHECK", "PIP_NO_CACHE_DIR"}
START_OPTIONS = {"--timeout-graceful-shutdown": "30", "--ws-max-size": "5000000", "--ws-per-message-deflate": "false"}


def known_variables() -> set[str]:
    return set(re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)) | OF_OTHERS


def objects(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = objects(COMPOSE)[0]["services"]
    return found


def test_every_variable_that_the_files_set_exists() -> None:
    lines = re.findall(r"^ENV (.*)$", DOCKERFILE.read_text().replace("\\\n", " "), re.MULTILINE)
    of_image = {name for line in lines for name in re.findall(r"(\w+)=", line)}
    ours = [service for service in services().values() if service["image"].startswith("voiceclone:")]
    of_containers = {name for service in ours for name in service["environment"]}
    of_pods = {name for path in KUBERNETES for each in objects(path) for name in each.get("data", {})}
    assert of_image <= known_variables() | OF_BUILD
    assert of_containers
    assert of_containers <= known_variables()
    assert of_pods
    assert of_pods <= known_variables()


def test_the_image_has_a_python_that_is_supported_and_only_paths_that_exist() -> None:
    dockerfile = DOCKERFILE.read_text()
    version = re.search(r"^ARG PYTHON=(\d+)\.(\d+)$", dockerfile, re.MULTILINE)
    assert version
    supported = re.findall(r"\((\d+), (\d+)\)", (ROOT / "Makefile").read_text())
    lowest, highest = (tuple(map(int, each)) for each in supported[:2])
    assert lowest <= (int(version[1]), int(version[2])) <= highest
    for name in re.findall(r"\b(?:requirements[\w-]*\.txt|deploy/[\w.]+)", dockerfile):
        assert (ROOT / name).is_file(), name
    excepted = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    for pattern in set(excepted) - {"locale"}:  # Made by the first translation.
        assert list(ROOT.glob(pattern)), pattern
    assert ".env" not in excepted


def test_web_servers_are_started_alike_everywhere() -> None:
    """Of each command, the options that decide about sockets and the end."""
    documented = (ROOT / "docs" / "deployment.md").read_text()
    unit = (DEPLOY / "systemd" / "voiceclone-web@.service").read_text()
    for option, value in START_OPTIONS.items():
        assert f"{option} {value}" in documented
        assert f"{option} {value}" in unit
        assert f'"{option}", "{value}"' in DOCKERFILE.read_text()


def test_there_is_time_to_drain() -> None:
    """Whoever stops a web server waits for its grace, what it stores then, and uvicorn's own time-out."""
    needed = settings.SHUTDOWN_GRACE_SECONDS + INTERRUPTION_SECONDS + int(START_OPTIONS["--timeout-graceful-shutdown"])
    assert needed <= 60
    assert "TimeoutStopSec=60" in (DEPLOY / "systemd" / "voiceclone-web@.service").read_text()
    assert services()["web-1"]["stop_grace_period"] == services()["web-2"]["stop_grace_period"] == "60s"
    web = objects(DEPLOY / "kubernetes" / "site.yaml")[0]
    pod = web["spec"]["template"]["spec"]
    before = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert before + needed <= pod["terminationGracePeriodSeconds"]


def test_commands_exist() -> None:
    """Every `manage.py` command that the files run, with its options."""
    texts = [path.read_text() for path in (COMPOSE, *UNITS, *KUBERNETES)]
    found = {found for text in texts for found in re.findall(r"manage\.py,? ([a-z_]+)", text)}
    assert found == {"migrate", "fetch_models", "worker"}
    listed = subprocess.run(
        [sys.executable, "manage.py", "help", "--commands"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert found <= set(listed.split())


def test_paths_in_compose_exist() -> None:
    mounted = [volume.split(":")[0] for service in services().values() for volume in service.get("volumes", [])]
    for path in (each for each in mounted if each.startswith("./")):
        assert (ROOT / path).is_file() or path.startswith("./deploy/tls/"), path  # The operator's certificate.
    for service in services().values():
        for needed in service.get("depends_on", {}):
            assert needed in services()


def test_no_file_contains_a_secret() -> None:
    """Keys and passwords are taken from `.env` or from a Secret."""
    secret = re.compile(r"(SECRET_KEY|PASSWORD|API_KEY|ACCESS_KEY(_ID)?|TOKEN)\"?: (?!\$\{)")
    for path in (COMPOSE, *KUBERNETES):
        assert not secret.search(path.read_text()), path


def test_no_example_has_a_comment_behind_a_value() -> None:
    """Neither the site nor systemd would take it for one."""
    examples = [ROOT / ".env.example", ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    wrong = re.compile(r"^ *(?:# )?[A-Z_]+=\S* +#.*", re.MULTILINE)
    assert {path.name: found for path in examples if (found := wrong.findall(path.read_text()))} == {}


def test_nginx_accepts_the_file(tmp_path: Path) -> None:
    identity = make_identity()
    certificate, key = tmp_path / "site.pem", tmp_path / "site.key"
    certificate.write_bytes(identity.chain)
    key.write_bytes(identity.key)
    changes = {
        "/etc/ssl/voiceclone.pem": str(certificate),
        "/etc/ssl/private/voiceclone.key": str(key),
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        "listen 443 ": f"listen 127.0.0.1:{free_port()} ",
    }
    done = subprocess.run(  # noqa: S603
        [*write_configuration(tmp_path, changes), "-t"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_run_what_make_install_makes(path: Path) -> None:
    unit = path.read_text()
    program = re.search(r"^ExecStart=/srv/voiceclone/\.venv/bin/(\w+)", unit, re.MULTILINE)
    assert program
    assert (Path(sys.executable).parent / program[1]).exists()
