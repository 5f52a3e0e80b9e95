"""Tries the site with clients that people use, as the registries have them today: `make test-clients`.

It needs the network, Python 3.12 or later for one client, and Node.js with npm. The clients are installed in
var/clients, and the site runs on this machine with stand-ins for its services. A client is a program in this folder
that writes a line of JSON for each call, `{"call": …, "problem": …}`; the problem is "" if the call did what it should.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

from tests.audio_samples import SPEECH_DIR
from tests.fakes.provider import FakeProvider
from tests.processes import Site, remote, running_site

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
INSTALLED = PROJECT / "var" / "clients"
SECONDS = 300
INTERPRETERS = ("python3.13", "python3.12")
RECORDING = SPEECH_DIR / "austen-0930.wav"
VOICE = "Jane"  # The one that `Site.add_conversation` makes.

Result = tuple[str, str]
"""A call, and its problem or ""."""


@dataclass(frozen=True)
class Client:
    """A program in this folder, and the packages that it needs, from PyPI or npm."""

    program: str
    packages: Sequence[str]

    @property
    def name(self) -> str:
        return self.program.partition(".")[0].removesuffix("_client")

    def try_at(self, variables: dict[str, str]) -> list[Result]:
        """Install the client and run it at the site of which `variables` tell."""
        try:
            return results_of(self.install(), variables)
        except subprocess.SubprocessError as error:
            return [("(it can be installed, and ends)", str(error))]

    def install(self) -> list[str]:
        """Install the packages into a folder of the client's own, and return the command that runs the program."""
        folder = INSTALLED / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return self._install_node(folder) if self.program.endswith(".mjs") else self._install_python(folder)

    def _install_python(self, folder: Path) -> list[str]:
        python = folder / "bin" / "python"
        if not python.exists():
            _run([_newest_python(), "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "-U", *self.packages])
        return [str(python), "-m", f"tests.clients.{self.program.removesuffix('.py')}"]

    def _install_node(self, folder: Path) -> list[str]:
        # Node.js looks for packages beside the program.
        for path in HERE.glob("*.mjs"):
            shutil.copy(path, folder)
        (folder / "package.json").write_text('{"private": true}')
        _run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", *self.packages], folder)
        return ["node", str(folder / self.program)]


CLIENTS = [
    Client("openai_python.py", ["openai"]),
    Client("openai_node.mjs", ["openai"]),
    Client("litellm_client.py", ["litellm"]),
    Client(
        "langchain_client.py",
        [
            "langchain-openai",
            "langchain-community",
            "openai",
            "pydub",
            "audioop-lts; python_version >= '3.13'",
            "imageio-ffmpeg",
        ],
    ),
    Client("ai_sdk.mjs", ["ai", "@ai-sdk/openai"]),
    Client("realtime_node.mjs", ["openai", "ws", "@openai/agents", "zod"]),
    Client("agents_python.py", ["openai-agents[voice]"]),
    Client("wyoming_client.py", ["wyoming-openai"]),
    Client("api_description.mjs", ["@redocly/cli@2.77.0", "@stoplight/spectral-cli@6.16.3"]),
    Client("openapi_python.py", ["openapi-python-client==0.29.1", "mypy==2.4.1", "ruff"]),
    Client(
        "openapi_typescript.mjs",
        ["openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3", "@types/node@20"],
    ),
]


def main() -> None:
    parser = argparse.ArgumentParser(description="Try the site with clients that people use.")
    parser.add_argument("names", nargs="*", metavar="CLIENT", help="only these: " + ", ".join(c.name for c in CLIENTS))
    names = parser.parse_args().names
    chosen = [client for client in CLIENTS if not names or client.name in names]
    with site() as variables:
        results = [(client.name, *result) for client in chosen for result in client.try_at(variables)]
    for name, call, problem in results:
        sys.stdout.write(f"{name:15} {call:55} {problem or 'ok'}\n")
    failed = sum(bool(problem) for _name, _call, problem in results)
    sys.stdout.write(f"{len(results)} calls, {failed} failed\n")
    sys.exit(bool(failed))


def results_of(command: list[str], variables: dict[str, str]) -> list[Result]:
    """Run a client, and return the results of its calls. The end of the program is one of them."""
    done = subprocess.run(  # noqa: S603 - all arguments are our own
        command, cwd=PROJECT, env=os.environ | variables, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"call"')]
    calls = [(str(line["call"]), " ".join(str(line["problem"]).split())) for line in lines]
    problem = (done.stderr.strip().splitlines() or ["no reason given"])[-1] if done.returncode else ""
    return [*calls, ("(the program ends well)", problem)]


@contextlib.contextmanager
def site() -> Iterator[dict[str, str]]:
    """Run the site with a person, a token and a voice, and give the variables that tell a client of them."""
    with tempfile.TemporaryDirectory() as folder, FakeProvider().running() as provider:
        # A Whisper model at the speech-to-text service has times.
        services = remote(provider) | {"OPENAI_STT_MODEL": "whisper-1"}
        with running_site(["voiceclone.run"], Path(folder), **services) as running:
            yield variables_of(running, provider)


def variables_of(running: Site, provider: FakeProvider) -> dict[str, str]:
    _conversation, token = running.add_conversation(provider.add_voice(VOICE))
    return {
        "SITE_URL": running.url,
        "SITE_TOKEN": token,
        "SITE_RECORDING": str(RECORDING),
        "SITE_WORDS": provider.behaviour.transcript,
        "SITE_VOICE": VOICE,
    }


def _newest_python() -> str:
    """Return the newest interpreter that runs, or else this one. A name on the path may be that of a mere wrapper."""
    for name in INTERPRETERS:
        if shutil.which(name) and not subprocess.run([name, "-V"], capture_output=True, check=False).returncode:  # noqa: S603
            return name
    return sys.executable


def _run(command: list[str], folder: Path = PROJECT) -> None:
    subprocess.run(command, cwd=folder, check=True)  # noqa: S603 - all arguments are our own


if __name__ == "__main__":
    main()
