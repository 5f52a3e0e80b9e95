"""Write anew the stand-in for the speaker encoder, which all tests use in which similarity is not the subject.

    pip install onnx && python -m tests.make_stand_in_encoder

It has the inputs and outputs of the real one, costs nothing, and finds that everybody sounds alike: its answer is the
mean spectrum of a window, filled up with zeros.
"""

from __future__ import annotations

from pathlib import Path

from apps.speech.local.catalogue import SPEAKER_ENCODER
from apps.speech.local.speaker import MEL_BANDS, WINDOW_FRAMES

PATH = Path(__file__).parent / "data" / "models" / SPEAKER_ENCODER.files[0].path
EMBEDDING_SIZE = 256
OPSET = 18


def main() -> None:
    from onnx import TensorProto, checker, helper, save

    window = helper.make_tensor_value_info("mel_window", TensorProto.FLOAT, ["windows", WINDOW_FRAMES, MEL_BANDS])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["windows", EMBEDDING_SIZE])
    constants = [
        helper.make_tensor("time", TensorProto.INT64, [1], [1]),
        helper.make_tensor("padding", TensorProto.INT64, [4], [0, 0, 0, EMBEDDING_SIZE - MEL_BANDS]),
    ]
    nodes = [
        helper.make_node("ReduceMean", ["mel_window", "time"], ["mean"], keepdims=0),
        helper.make_node("Pad", ["mean", "padding"], ["embedding"]),
    ]
    graph = helper.make_graph(nodes, "stand-in", [window], [embedding], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    checker.check_model(model)
    PATH.parent.mkdir(parents=True, exist_ok=True)
    save(model, PATH)


if __name__ == "__main__":
    main()
