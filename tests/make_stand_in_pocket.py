"""Write anew the stand-in for the files of Pocket TTS, with which the real runtime speaks in tests.

    pip install onnx && python -m tests.make_stand_in_pocket

It has the inputs and outputs of the real model and costs nothing. Its speech is a tone: as high as its reference is,
as long as the text is. Like the encoder of the published release, it hears only the first 1.04 s of the reference.
Two tokens make it fail as the real model may: NOT_A_NUMBER and ENDLESS.
"""

from __future__ import annotations

import json
from typing import Any

from tests.pocket import ENDLESS, NOT_A_NUMBER, STAND_IN_DIR

OPSET, IR_VERSION = 17, 8
SIZE, LATENT = 1024, 32
SAMPLE_RATE = 24_000
HEARD_SAMPLES = 24_960
FRAME_SAMPLES = 1920
MIN_FRAMES = 6.0
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
PIECES = [
    "▁",
    *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    *".,;:!?'\"-()$",
    NOT_A_NUMBER,
    ENDLESS,
]
VOCABULARY = [*SPECIAL, *BYTES, *PIECES]


class Graph:
    """Collects the nodes and constants of a model; each method returns the name of the value that it adds."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, kind: str = "float32") -> str:
        import numpy as np
        from onnx import numpy_helper

        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, kind), name))
        return name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = output or f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def slice(self, value: str, start: int, end: int, axis: int, **options: Any) -> str:
        bounds = [self.constant([number], "int64") for number in (start, end, axis)]
        return self.add("Slice", value, *bounds, **options)

    def pad_last(self, value: str, rank: int, missing: int, **options: Any) -> str:
        """Add zeros to the end of the last of `rank` axes."""
        return self.add("Pad", value, self.constant([0] * (2 * rank - 1) + [missing], "int64"), **options)

    def length(self, value: str, axis: int) -> str:
        """Return the length of an axis as a number of the type int64, shape (1,)."""
        return self.slice(self.add("Shape", value), axis, axis + 1, 0)

    def save(
        self, name: str, inputs: dict[str, tuple[str, list[Any]]], outputs: dict[str, tuple[str, list[Any]]]
    ) -> None:
        from onnx import TensorProto, checker, helper, save

        described = [
            [
                helper.make_tensor_value_info(key, getattr(TensorProto, kind), shape)
                for key, (kind, shape) in each.items()
            ]
            for each in (inputs, outputs)
        ]
        graph = helper.make_graph(self.nodes, "stand-in", *described, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        checker.check_model(model)
        save(model, STAND_IN_DIR / name)


def encoder() -> None:
    """The pitch of the reference, from its sign changes, in kHz in channel 0."""
    graph = Graph()
    heard = graph.slice("audio", 0, HEARD_SAMPLES, 2)
    signs = graph.add("Sign", heard)
    later, earlier = graph.slice(signs, 1, HEARD_SAMPLES, 2), graph.slice(signs, 0, -1, 2)
    change = graph.add("Abs", graph.add("Sub", later, earlier))
    # Each sign change counts as 2, and each period has two of them.
    total = graph.add("ReduceSum", change, graph.constant([2], "int64"), keepdims=1)
    count = graph.add("Cast", graph.length(heard, 2), to=1)
    kilohertz = graph.add("Mul", graph.add("Div", total, count), graph.constant(SAMPLE_RATE / 4 / 1000))
    graph.pad_last(kilohertz, 3, SIZE - 1, output="voice")
    graph.save("encoder.onnx", {"audio": ("FLOAT", [1, 1, "samples"])}, {"voice": ("FLOAT", [1, "frames", SIZE])})


def text_conditioner() -> None:
    """One in channel 1 for each token."""
    graph = Graph()
    table = [[0.0, 1.0] for _ in VOCABULARY]
    table[VOCABULARY.index(NOT_A_NUMBER)][0] = float("nan")
    table[VOCABULARY.index(ENDLESS)][1] = 1e6
    graph.pad_last(graph.add("Gather", graph.constant(table), "tokens"), 3, SIZE - 2, output="embeddings")
    graph.save(
        "text_conditioner.onnx",
        {"tokens": ("INT64", [1, "tokens"])},
        {"embeddings": ("FLOAT", [1, "tokens", SIZE])},
    )


def lm_main() -> None:
    """The sum of all embeddings, and the end when there are as many frames as tokens."""
    graph = Graph()
    added = graph.add("ReduceSum", "embeddings", graph.constant([1], "int64"), keepdims=0)
    graph.add("Add", "sum", added, output="new_sum")
    graph.add("Add", "count", graph.length("sequence", 1), output="new_count")
    graph.add("Identity", "new_sum", output="conditioning")
    expected = graph.add("Max", graph.slice("new_sum", 1, 2, 1), graph.constant([[MIN_FRAMES]]))
    frames = graph.add("Reshape", graph.add("Cast", "new_count", to=1), graph.constant([1, 1], "int64"))
    graph.add("Sub", graph.add("Sub", frames, expected), graph.constant(0.5), output="end")
    graph.save(
        "lm_main.int8.onnx",
        {
            "sequence": ("FLOAT", [1, "frames", LATENT]),
            "embeddings": ("FLOAT", [1, "tokens", SIZE]),
            "sum": ("FLOAT", [1, SIZE]),
            "count": ("INT64", [1]),
        },
        {
            "conditioning": ("FLOAT", [1, SIZE]),
            "end": ("FLOAT", [1, 1]),
            "new_sum": ("FLOAT", [1, SIZE]),
            "new_count": ("INT64", [1]),
        },
    )


def lm_flow() -> None:
    """The way from the noise in channel 0 to the pitch; the noise in the other channels stays."""
    graph = Graph()
    way = graph.add("Sub", graph.slice("conditioning", 0, 1, 1), graph.slice("latent", 0, 1, 1))
    rest = graph.add("Sub", graph.constant([[1.0]]), "start")
    # The end of the step is not needed, but an input has to be used.
    unused = graph.add("Mul", "end", graph.constant(0.0))
    graph.pad_last(graph.add("Add", graph.add("Div", way, rest), unused), 2, LATENT - 1, output="velocity")
    graph.save(
        "lm_flow.int8.onnx",
        {
            "conditioning": ("FLOAT", [1, SIZE]),
            "start": ("FLOAT", [1, 1]),
            "end": ("FLOAT", [1, 1]),
            "latent": ("FLOAT", [1, LATENT]),
        },
        {"velocity": ("FLOAT", [1, LATENT])},
    )


def decoder() -> None:
    """A tone of the pitch in channel 0, as loud as channel 1 says."""
    graph = Graph()

    def for_each_sample(channel: str) -> str:
        shape = graph.add("Concat", graph.length("latents", 1), graph.constant([FRAME_SAMPLES], "int64"), axis=0)
        column = graph.add("Reshape", channel, graph.constant([-1, 1], "int64"))
        return graph.add("Reshape", graph.add("Expand", column, shape), graph.constant([1, -1], "int64"))

    step = graph.add("Mul", graph.slice("latents", 0, 1, 2), graph.constant(2 * 3.14159265 * 1000 / SAMPLE_RATE))
    turned = graph.add("CumSum", for_each_sample(step), graph.constant(1, "int64"))
    phases = graph.add("Add", turned, "phase")
    graph.add("Mod", graph.slice(phases, -1, 2**31 - 1, 1), graph.constant(2 * 3.14159265), fmod=1, output="new_phase")
    noise = graph.add("Tanh", for_each_sample(graph.slice("latents", 1, 2, 2)))
    loudness = graph.add("Add", graph.add("Mul", noise, graph.constant(0.05)), graph.constant(0.3))
    tone = graph.add("Mul", graph.add("Sin", phases), loudness)
    graph.add("Unsqueeze", tone, graph.constant([1], "int64"), output="audio")
    graph.save(
        "decoder.int8.onnx",
        {"latents": ("FLOAT", [1, "frames", LATENT]), "phase": ("FLOAT", [1, 1])},
        {"audio": ("FLOAT", [1, 1, "samples"]), "new_phase": ("FLOAT", [1, 1])},
    )


def tokenizer() -> None:
    # Bytes are so unlikely that they are used only for characters that are no pieces.
    scores = {piece: -20.0 if piece in BYTES else -1.0 for piece in VOCABULARY}
    numbers = {piece: number for number, piece in enumerate(VOCABULARY)}
    (STAND_IN_DIR / "vocab.json").write_text(json.dumps(numbers, ensure_ascii=False, indent=0) + "\n")
    (STAND_IN_DIR / "token_scores.json").write_text(json.dumps(scores, ensure_ascii=False, indent=0) + "\n")


def main() -> None:
    STAND_IN_DIR.mkdir(parents=True, exist_ok=True)
    for write in (encoder, text_conditioner, lm_main, lm_flow, decoder, tokenizer):
        write()


if __name__ == "__main__":
    main()
