"""Hold conversations with the embedded language model, and count what is right and what it repeats.

The questions go through the product's own prompt, memory and engine. A file of questions is a list of objects: `ask`,
`want` and `not` (regular expressions that the reply has to contain, and must not), and `new` at the first question of a
conversation, which may have a `persona` and a `language`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import re
import secrets
import statistics
import sys
import time
from dataclasses import asdict, dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django

if TYPE_CHECKING:
    from apps.speech.local.llama import LocalLanguageModel

DATA_DIR = Path(__file__).parent / "data"
QUESTIONS_FILE, LONG_FILE = DATA_DIR / "replies.json", DATA_DIR / "long.json"
# Replies that share this much of their words are repeated ones. Shorter ones, such as "I see.", may be the same.
REPEATED_SHARE, MIN_REPEATED_WORDS = 0.9, 4
SENTENCE = re.compile(r"[^.!?…。！？]+[.!?…。！？]+|[^.!?…。！？]+$")
WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply and its measurements. `repeats` is the number of the earlier question that got the same reply, or 0."""

    question: str
    reply: str
    is_right: bool
    repeats: int
    sentences: int
    first_word_seconds: float
    tokens_read: int
    tokens_cached: int
    tokens_per_second: float


class Timings(logging.Handler):
    """Keeps the figures that the engine logs after each reply."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.figures: tuple[Any, ...] = ()

    def emit(self, record: logging.LogRecord) -> None:
        if "prompt tokens" in record.msg and isinstance(record.args, tuple):
            self.figures = record.args


def main() -> int:
    options = _options()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voiceclone.settings")
    os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(50))
    django.setup()
    questions = json.loads((LONG_FILE if options.long else options.file).read_text())
    model, answers = asyncio.run(_hold_conversations(questions, options.model))
    _say(_summary(model, answers, wanted=[question for question in questions if _is_judged(question)]))
    if options.json:
        run = {"model": model, "answers": [asdict(answer) for answer in answers]}
        options.json.write_text(json.dumps(run, indent=2, ensure_ascii=False) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.replies", description=__doc__)
    parser.add_argument("--model", default="", help="as LOCAL_CHAT_MODEL, which is the default")
    parser.add_argument("--file", type=Path, default=QUESTIONS_FILE, help="questions (the forty of bench/data)")
    parser.add_argument("--long", action="store_true", help="one conversation of twenty turns instead")
    parser.add_argument("--json", type=Path, help="file for all replies with their figures")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def _hold_conversations(questions: list[dict[str, Any]], named: str) -> tuple[str, list[Answer]]:
    """Ask all questions, and return the name of the model with its answers."""
    from django.conf import settings

    from apps.conversations.models import Turn
    from apps.conversations.pipeline.prompts import build_messages, new_conversation
    from apps.speech import configs
    from apps.speech.local import chat_choice
    from apps.speech.local.llama import LocalLanguageModel

    config = configs.local_config()
    config = replace(config, chat_model=named or config.chat_model)
    model, timings = LocalLanguageModel(config), Timings()
    logging.getLogger("apps.speech.local.llama").addHandler(timings)
    await model.preload()
    await model.read_ahead(new_conversation())
    answers: list[Answer] = []
    earlier: list[Turn] = []
    setting: dict[str, str] = {}
    for number, question in enumerate(questions, start=1):
        if question.get("new"):
            _say("")
            earlier, setting = [], {"persona": "", **{k: question[k] for k in ("persona", "language") if k in question}}
        remembered = earlier[-settings.MEMORY_TURNS :] if settings.MEMORY_TURNS else []
        messages = build_messages(**setting, earlier=remembered, transcript=question["ask"])
        answer = await _ask(model, messages, settings.MAX_REPLY_TOKENS, question, answers, timings)
        earlier.append(Turn(transcript=question["ask"], reply=answer.reply))
        answers.append(answer)
        _say(_line(number, answer))
    return chat_choice.in_force(config.chat_model, config.models_dir).model, answers


async def _ask(
    model: LocalLanguageModel,
    messages: Any,
    max_tokens: int,
    question: dict[str, Any],
    before: list[Answer],
    timings: Timings,
) -> Answer:
    started, first, reply = time.perf_counter(), 0.0, ""
    timings.figures = (0, 0, 0, 0.0)
    async for delta in model.reply(messages, max_tokens=max_tokens):
        first = first or time.perf_counter() - started
        reply += delta
    read, cached, _written, speed = timings.figures
    return Answer(
        question=question["ask"],
        reply=reply.strip(),
        is_right=_is_right(reply, question),
        repeats=_repeated(reply, before),
        sentences=len(SENTENCE.findall(reply.strip())),
        first_word_seconds=first,
        tokens_read=read,
        tokens_cached=cached,
        tokens_per_second=speed,
    )


def _is_judged(question: dict[str, Any]) -> bool:
    return "want" in question or "not" in question


def _is_right(reply: str, question: dict[str, Any]) -> bool:
    has_wanted = re.search(question.get("want", ""), reply, re.IGNORECASE)
    has_unwanted = "not" in question and re.search(question["not"], reply, re.IGNORECASE)
    return bool(reply.strip() and has_wanted and not has_unwanted)


def _repeated(reply: str, before: list[Answer]) -> int:
    """Return the number of the first answer in `before` that says the same as `reply`, or 0."""
    words = WORD.findall(reply.casefold())
    if len(words) < MIN_REPEATED_WORDS:
        return 0
    for number, answer in enumerate(before, start=1):
        if SequenceMatcher(None, words, WORD.findall(answer.reply.casefold())).ratio() >= REPEATED_SHARE:
            return number
    return 0


def _line(number: int, answer: Answer) -> str:
    marks = "  " if answer.is_right else "✗ "
    again = f"  [as {answer.repeats}]" if answer.repeats else ""
    figures = f"{answer.first_word_seconds:.1f} s, {answer.tokens_read}+{answer.tokens_cached} tokens"
    return f"{marks}{number:2} {answer.question}\n     {answer.reply!r}{again}  ({figures})"


def _summary(model: str, answers: list[Answer], wanted: list[dict[str, Any]]) -> str:
    first = sorted(answer.first_word_seconds for answer in answers)
    speeds = [answer.tokens_per_second for answer in answers if answer.tokens_per_second]
    read = [answer.tokens_read for answer in answers if answer.tokens_read]
    sentences = [answer.sentences for answer in answers]
    lines = [
        f"\n{model}: {sum(answer.is_right for answer in answers)} of {len(answers)} right ({len(wanted)} are judged)",
        f"repeated replies: {sum(bool(answer.repeats) for answer in answers)}",
        f"sentences: mean {statistics.mean(sentences):.1f}, most {max(sentences)}",
        f"first word: median {statistics.median(first):.2f} s, slowest {first[-1]:.2f} s",
        f"tokens a second: median {statistics.median(speeds or [0]):.1f}, slowest {min(speeds or [0]):.1f}",
        f"prompt tokens read a turn: mean {statistics.mean(read or [0]):.0f}, most {max(read or [0])}",
    ]
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        lines.append(f"memory of the process: {pages * os.sysconf('SC_PAGE_SIZE') / 1e6:.0f} MB")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
