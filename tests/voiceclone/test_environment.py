"""`.env` and the readers of single variables."""

from __future__ import annotations

from pathlib import Path

import environ
import pytest
from django.core.exceptions import ImproperlyConfigured

from voiceclone.environment import Environment

SECRET = "a-secret-value"


class TestDotenv:
    @pytest.fixture(autouse=True)
    def process(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        """A process environment for one test."""
        variables = {"FROM_PROCESS": "process", "EMPTY": ""}
        monkeypatch.setattr(environ.Env, "ENVIRON", variables)
        return variables

    def read(self, folder: Path, text: str) -> Environment:
        (folder / ".env").write_text(text)
        return Environment(folder / ".env")

    def test_it_is_read(self, tmp_path: Path) -> None:
        env = self.read(tmp_path, "# A comment\n\nNAME=value\nexport OTHER='with # and spaces'\n")
        assert env.text("NAME") == "value"
        assert env.text("OTHER") == "with # and spaces"

    def test_the_process_environment_takes_precedence(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, "FROM_PROCESS=file").text("FROM_PROCESS") == "process"

    def test_an_empty_value_counts_as_not_set(self, tmp_path: Path) -> None:
        env = self.read(tmp_path, "NAME=\nEMPTY=file\n")
        assert env.text("NAME", "default") == env.text("EMPTY", "default") == "default"

    def test_it_may_be_missing(self, tmp_path: Path) -> None:
        assert Environment(tmp_path / ".env").text("FROM_PROCESS") == "process"

    def test_a_dollar_sign_is_not_expanded(self, tmp_path: Path) -> None:
        env = self.read(tmp_path, "NAME=$NAME\nPASSWORD=$FROM_PROCESS$1\n")
        assert (env.text("NAME"), env.text("PASSWORD")) == ("$NAME", "$FROM_PROCESS$1")

    @pytest.mark.parametrize("line", [f"KEY = {SECRET}", f" KEY={SECRET}", SECRET, f"set KEY={SECRET}"])
    def test_an_invalid_line_stops_the_start(self, tmp_path: Path, line: str, caplog: pytest.LogCaptureFixture) -> None:
        with pytest.raises(ImproperlyConfigured, match=r"Line 2 of \.env") as caught:
            self.read(tmp_path, f"NAME=value\n{line}\n")
        assert SECRET not in str(caught.value) + caplog.text


class TestReaders:
    @pytest.fixture
    def env(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Environment:
        words = {"ON": "True", "OFF": "NO", "LIST": " a, b ,,", "ORIGINS": "https://a.example/, http://b.example:80"}
        monkeypatch.setattr(environ.Env, "ENVIRON", words | {"URL": "https://a.example/v1/", "HOME_PATH": "~/x"})
        return Environment(tmp_path / "none")

    def test_flags_may_be_written_in_several_ways(self, env: Environment) -> None:
        assert env.flag("ON", default=False) is True
        assert env.flag("OFF", default=True) is False
        assert env.flag("NEITHER", default=True) is True

    def test_lists_are_comma_separated(self, env: Environment) -> None:
        assert env.words("LIST", ["default"]) == ["a", "b"]
        assert env.words("NONE", ["default"]) == ["default"]

    def test_addresses_lose_their_last_slash(self, env: Environment) -> None:
        assert env.origins("ORIGINS") == ["https://a.example", "http://b.example:80"]
        assert env.web_address("URL") == "https://a.example/v1"
        assert env.web_address("NONE") is None

    def test_paths_are_absolute(self, env: Environment) -> None:
        assert env.path("HOME_PATH", Path()) == Path.home() / "x"
        assert env.path("NONE", Path("relative")).is_absolute()
