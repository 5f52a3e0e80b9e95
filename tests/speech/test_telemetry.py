"""The libraries under the engines report nothing to their makers."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from pathlib import Path

LOAD_A_MODEL = """
from apps.speech.audio.silero import detector
detector()
from huggingface_hub import constants
print(constants.HF_HUB_DISABLE_TELEMETRY)
"""


def test_libraries_report_nothing(tmp_path: Path) -> None:
    """ONNX Runtime writes its id of the machine and what it will report below the home folder."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}  # Without CI, where it reports nothing anyway.
    command = [sys.executable, "-c", LOAD_A_MODEL]
    done = subprocess.run(  # noqa: S603
        command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "True\n", done.stderr
    assert list(tmp_path.iterdir()) == []
