from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from apps.speech.local import chat_choice
from apps.speech.local.chat_choice import (
    AUTO,
    BETTER,
    BETTER_DISK,
    BETTER_MEMORY,
    SMALL,
    SPOKEN_SPEED,
    Choice,
    Machine,
    Reason,
    choose,
    choose_downloaded,
)

GOOD = Machine(memory=BETTER_MEMORY, disk=BETTER_DISK, downloaded=frozenset(), better_speed=None)


class TestChoosing:
    @pytest.mark.parametrize(
        ("machine", "model", "reason"),
        [
            (GOOD, BETTER, "fits"),
            (replace(GOOD, memory=None), BETTER, "fits"),
            (replace(GOOD, better_speed=SPOKEN_SPEED), BETTER, "fits"),
            (replace(GOOD, disk=0, downloaded=frozenset({BETTER})), BETTER, "fits"),
            (replace(GOOD, memory=BETTER_MEMORY - 1), SMALL, "low_memory"),
            (replace(GOOD, disk=BETTER_DISK - 1), SMALL, "low_disk"),
            (replace(GOOD, better_speed=SPOKEN_SPEED - 0.1, downloaded=frozenset({BETTER})), SMALL, "too_slow"),
        ],
    )
    def test_auto_takes_the_better_model_where_it_fits(self, machine: Machine, model: str, reason: Reason) -> None:
        assert choose(AUTO, machine) == Choice(model, reason)

    @pytest.mark.parametrize("named", [SMALL, BETTER, "/srv/any.gguf"])
    def test_a_named_model_is_taken_on_any_machine(self, named: str) -> None:
        poor = Machine(memory=0, disk=0, downloaded=frozenset({SMALL}), better_speed=0.1)
        assert choose(named, poor) == choose_downloaded(named, poor) == Choice(named, "named")

    def test_the_small_model_answers_while_only_that_is_there(self) -> None:
        assert choose_downloaded(AUTO, replace(GOOD, downloaded=frozenset({SMALL}))) == Choice(SMALL, "not_downloaded")
        assert choose_downloaded(AUTO, replace(GOOD, downloaded=frozenset({SMALL, BETTER}))).model == BETTER

    def test_without_any_the_one_to_download_is_missed(self) -> None:
        assert choose_downloaded(AUTO, GOOD) == Choice(BETTER, "fits")


class TestInspecting:
    def test_it_sees_what_is_downloaded(self, tmp_path: Path) -> None:
        weights = chat_choice.path_of(SMALL, tmp_path)
        assert not chat_choice.inspect(tmp_path).downloaded
        weights.parent.mkdir(parents=True)
        weights.touch()
        machine = chat_choice.inspect(tmp_path)
        assert machine.downloaded == {SMALL}
        assert machine.disk > 0

    def test_a_folder_that_is_not_there_yet_is_on_the_disk_of_its_parent(self, tmp_path: Path) -> None:
        assert chat_choice.inspect(tmp_path / "not" / "yet").disk > 0

    def test_a_path_of_the_operator_stays_as_it_is(self, tmp_path: Path) -> None:
        assert chat_choice.path_of("/srv/any.gguf", tmp_path) == Path("/srv/any.gguf")


class TestSpeeds:
    def test_a_speed_is_kept_for_later_starts(self, tmp_path: Path) -> None:
        weights, other = chat_choice.path_of(BETTER, tmp_path), tmp_path / "other.gguf"
        chat_choice.remember_speed(weights, tmp_path, 2.5)
        chat_choice.remember_speed(other, tmp_path, 30)
        assert chat_choice.known_speed(weights, tmp_path) == chat_choice.inspect(tmp_path).better_speed == 2.5
        assert chat_choice.known_speed(other, tmp_path) == 30

    def test_that_of_another_processor_does_not_count(self, tmp_path: Path) -> None:
        weights = tmp_path / "any.gguf"
        (tmp_path / chat_choice.SPEEDS_FILE).write_text(json.dumps({"any.gguf on another one × 1": 1.0}))
        assert chat_choice.known_speed(weights, tmp_path) is None

    @pytest.mark.parametrize("text", ["", "[]", "{", '{"any.gguf on this": "fast"}', "\x00"])
    def test_a_damaged_file_counts_as_none(self, tmp_path: Path, text: str) -> None:
        (tmp_path / chat_choice.SPEEDS_FILE).write_text(text)
        assert chat_choice.known_speed(tmp_path / "any.gguf", tmp_path) is None
        chat_choice.remember_speed(tmp_path / "any.gguf", tmp_path, 9)
        assert chat_choice.known_speed(tmp_path / "any.gguf", tmp_path) == 9

    def test_without_a_place_for_it_nothing_fails(self, tmp_path: Path) -> None:
        chat_choice.remember_speed(tmp_path / "any.gguf", tmp_path / "missing", 9)
        assert chat_choice.known_speed(tmp_path / "any.gguf", tmp_path / "missing") is None


class TestTelling:
    def told(self, caplog: pytest.LogCaptureFixture, folder: Path, named: str, choice: Choice) -> str:
        with caplog.at_level(logging.INFO, logger=chat_choice.__name__):
            chat_choice.note_loaded(named, folder, choice)
        assert chat_choice.in_force(named, folder) == choice
        return caplog.text

    def test_the_log_names_the_model_and_the_reason(self, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
        text = self.told(caplog, tmp_path, AUTO, Choice(BETTER, "fits", 8.25))
        assert f"{BETTER} answers at 8.2 tokens a second: this machine has enough memory" in text
        assert "WARNING" not in text

    def test_it_tells_what_to_do_if_the_better_model_is_too_slow(
        self, caplog: pytest.LogCaptureFixture, tmp_path: Path
    ) -> None:
        text = self.told(caplog, tmp_path, AUTO, Choice(BETTER, "fits", 2.0))
        assert f"more slowly here than a voice speaks. The next start takes {SMALL}." in text
        assert "OPENAI_API_KEY" in text

    def test_it_tells_why_the_small_model_answers(self, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
        text = self.told(caplog, tmp_path, AUTO, Choice(SMALL, "low_memory", 40.0))
        assert "needs 3 GB of free memory" in text
        assert "OPENAI_API_KEY" in text

    def test_it_does_not_reprove_an_operator_who_named_it(
        self, caplog: pytest.LogCaptureFixture, tmp_path: Path
    ) -> None:
        assert "WARNING" not in self.told(caplog, tmp_path, SMALL, Choice(SMALL, "named", 40.0))

    def test_a_path_is_not_logged(self, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
        text = self.told(caplog, tmp_path, "/srv/secret/any.gguf", Choice("/srv/secret/any.gguf", "named", 1.0))
        assert "any.gguf" in text
        assert "/srv" not in text
