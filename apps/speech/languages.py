"""The languages of speech to text, by code and by name."""

from __future__ import annotations

import re

from django.conf.locale import LANG_INFO

# A primary subtag and others behind it (RFC 5646), also joined by underscores, as operating systems write them.
CODE = re.compile(r"([a-z]{2,3})(?:[-_][a-z0-9]{1,8})*")
DETECTED = {"", "auto", "automatic", "detect", "und"}

# Names that Django's list lacks, or writes otherwise than Whisper.
_NAMES = {
    "am": "Amharic",
    "as": "Assamese",
    "ba": "Bashkir",
    "bo": "Tibetan",
    "fo": "Faroese",
    "gu": "Gujarati",
    "ha": "Hausa",
    "haw": "Hawaiian",
    "ht": "Haitian Creole",
    "jw": "Javanese",
    "la": "Latin",
    "ln": "Lingala",
    "lo": "Lao",
    "mg": "Malagasy",
    "mi": "Maori",
    "mt": "Maltese",
    "my": "Myanmar",
    "oc": "Occitan",
    "ps": "Pashto",
    "sa": "Sanskrit",
    "sd": "Sindhi",
    "si": "Sinhala",
    "sn": "Shona",
    "so": "Somali",
    "su": "Sundanese",
    "tl": "Tagalog",
    "yi": "Yiddish",
    "yo": "Yoruba",
    "yue": "Cantonese",
    "zh": "Chinese",
}
# Codes of which the engines know another one.
_SAME = {"cmn": "zh", "fil": "tl", "in": "id", "iw": "he", "nb": "no"}
_OTHER_NAMES = {
    "filipino": "tl",
    "norwegian bokmål": "no",
    "mandarin": "zh",
    "中文": "zh",
    "flemish": "nl",
    "burmese": "my",
    "castilian": "es",
    "farsi": "fa",
}
_NAME_OF: dict[str, str] = {
    code: info["name"] for code, info in LANG_INFO.items() if "name" in info and CODE.fullmatch(code)
} | _NAMES
_CODE_OF = (
    {info["name_local"].casefold(): code for code, info in LANG_INFO.items() if "name" in info and len(code) <= 3}
    | {name.casefold(): code for code, name in _NAME_OF.items()}
    | _OTHER_NAMES
)


def code_of(language: str) -> str | None:
    """Return the code of `language`: its primary subtag, as of "de-DE", or the code of a name, as of "German".

    "" if the language is to be detected ("auto"), None if it is neither a name nor a code.
    """
    asked = language.partition("(")[0].strip().casefold()
    if asked in DETECTED:
        return ""
    match = CODE.fullmatch(_CODE_OF.get(asked, asked))
    return _SAME.get(match[1], match[1]) if match else None


def name_of(code: str) -> str:
    """Return the English name of a language in lower case, as OpenAI writes it; the code itself if it has no name."""
    return _NAME_OF.get(code, code).casefold()
