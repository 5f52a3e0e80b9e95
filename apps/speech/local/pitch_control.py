"""Adds an input to Kokoro's network, which scales the pitch of a voice.

The network predicts a pitch curve and then makes sound of that curve, so changing the curve in between changes neither
the timbre nor the speed. The file stays as it was released. The bytes that are added here merge with it, because that
is how the wire format of protocol buffers works: of a message that occurs twice, the repeated fields are joined. Here
it is the graph of the network (`onnx.proto`), which gets one more node, one input and its default value.
"""

from __future__ import annotations

import struct

# The input: what the pitch curve, in hertz, is multiplied by; 1 by default.
SCALE = "pitch_scale"

PREDICTED = b"/encoder/Squeeze_output_0"
SHAPED = b"/encoder/Squeeze_shaped_0"  # As long as PREDICTED, so that no length changes.
# The other input of the only node that reads the curve.
READERS_SHAPE = b"/encoder/Constant_20_output_0"
FLOAT = 1  # TensorProto.FLOAT


def add_pitch_control(model: bytes) -> bytes:
    """Return Kokoro's network `model` with the input SCALE. Raises ValueError if it is another network."""
    reader = _input(PREDICTED) + _input(READERS_SHAPE)
    start = model.find(reader)
    if start < 0:
        raise ValueError("The node that reads the pitch curve is missing")
    name = SCALE.encode()
    graph = _node(b"Mul", [PREDICTED, name], SHAPED) + _number(name, 1.0) + _graph_input(name)
    whole = memoryview(model)  # Slices of it are no copies.
    changed = _input(SHAPED) + _input(READERS_SHAPE)
    return b"".join([whole[:start], changed, whole[start + len(reader) :], _field(7, graph)])  # 7: ModelProto.graph


def _node(operator: bytes, inputs: list[bytes], output: bytes) -> bytes:
    parts = [*map(_input, inputs), _field(2, output), _field(3, output), _field(4, operator)]
    return _field(1, b"".join(parts))  # GraphProto.node


def _input(name: bytes) -> bytes:
    return _field(1, name)  # NodeProto.input


def _number(name: bytes, value: float) -> bytes:
    tensor = _integer_field(1, 1) + _integer_field(2, FLOAT) + _field(8, name) + _field(9, struct.pack("<f", value))
    return _field(5, tensor)  # GraphProto.initializer


def _graph_input(name: bytes) -> bytes:
    shape = _field(1, _integer_field(1, 1))  # One dimension, of size 1.
    tensor_type = _field(1, _integer_field(1, FLOAT) + _field(2, shape))
    return _field(11, _field(1, name) + _field(2, tensor_type))  # GraphProto.input


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _integer_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    digits.append(value)
    return bytes(digits)
