from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

ERRORS_ONLY = 3


def open_session(path: Path, threads: int, change: Callable[[bytes], bytes] | None = None) -> InferenceSession:
    """Load the ONNX model at `path`. Raises FileNotFoundError or ImportError if it is not installed.

    `change` gets the bytes of the file and returns those of the model to load.
    """
    import onnxruntime

    if not path.is_file():
        raise FileNotFoundError(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = ERRORS_ONLY
    # Threads that wait for work in a busy loop would take CPU time from the other models.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    model = change(path.read_bytes()) if change else str(path)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
