"""What a person may read and hear of a language model's output: no reasoning, no control text, nothing unstorable."""

from __future__ import annotations

import re

# No database stores a NUL, no encoding has half a surrogate pair, and the other control characters have no sound.
_UNSTORABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+")
_HIGH_SURROGATE = re.compile(r"[\ud800-\udbff]\Z")

_THOUGHT = "think|thinking|thoughts?|reasoning|reflection|scratchpad|analysis|seed:think"
_CALL = "tool_calls?|function_calls?"
# Without white space and of bounded length: two pieces of text with a space between them never become a mark, and no
# text makes the search slow.
MARK = re.compile(
    rf"""
    <[|｜][^<>|｜\s]{{1,40}}[|｜]>                         # ChatML, Llama, Phi, Cohere, DeepSeek, harmony
  | <\|[a-z_]{{2,30}}>|<[a-z_]{{2,30}}\|>                  # Gemma 4
  | </?(?:{_THOUGHT}|{_CALL})>
  | </?(?:s|(?:start|end)_of_turn|bos|eos|pad|unk|answer|response)>
  | \[/?(?:INST|THINK|TOOL_CALLS)\]|<</?SYS>>              # Mistral, Llama 2
  | ◁/?think▷                                              # Kimi
    """,
    re.VERBOSE | re.IGNORECASE,
)
_MAX_MARK_LENGTH = 44
_BEGINNING_OF_MARK = re.compile(
    r"(?:<[^<>\s]{0,42}|<</?(?:s|sy|sys>?)?|\[/?[a-z_]{0,10}|◁/?[a-z]{0,5})\Z", re.IGNORECASE
)
_FRAGMENT_OF_MARK = re.compile(
    r"<[|｜/]|<(?:th|rea|ref|scr|ana|seed|tool_|func|start_|end_)|<[a-z_]+\||◁", re.IGNORECASE
)

# The meaning of a mark, in small letters and with ASCII signs.
_MEANING = re.compile(
    rf"""
    (?P<thought><(?:{_THOUGHT})>|\[think\]|◁think▷|<\|(?:start_thinking|begin_of_thought)\|>|<\|channel>)
  | (?P<end_of_thought></(?:{_THOUGHT})>|\[/think\]|◁/think▷|<\|(?:end_thinking|end_of_thought)\|>|<channel\|>)
  | (?P<call><(?:{_CALL})>|<\|(?:start_action|(?:{_CALL})(?:_section)?_(?:begin|start))\|>|<\|tool_(?:call|response)>)
  | (?P<end_of_call></(?:{_CALL})>|<\|(?:end_action|(?:{_CALL})(?:_section)?_end)\|>|<tool_(?:call|response)\|>)
  | (?P<line_of_role><\|im_start\|>|<start_of_turn>|<\|turn>)
  | (?P<role><\|start(?:_header_id)?\|>)
  | (?P<channel><\|channel\|>)
  | (?P<end_of_header><\|message\|>|<\|end_header_id\|>)
  | (?P<others><\|(?:user|system|observation|tool|developer|python_tag)(?:_token)?\|>|\[inst\]|\[tool_calls\])
  | (?P<end><\|(?:im_end|eot|eo[tm]_id|endoftext|end_of_(?:text|turn|sentence)|end_of_turn_token|end_response|return
      |call|end|eos|assistant_end)\|>|<turn\|>|<(?:end_of_turn|eos)>)
    """,
    re.VERBOSE,
)
_LINE_OF_ROLE = re.compile(r"\s{0,3}(?:(\w{1,30})[^\S\n]{0,3}\n|(assistant|model|user|system|tool|developer)\b)")
_MAX_LINE_OF_ROLE = 40
_MAX_HEADER = 200
_OWN_ROLES = {"", "assistant", "model"}

# A sentence end needs the next character. A number of one or two digits before the mark is the number of a list item.
SENTENCE_END = re.compile(r"(?<!^\d)(?<!\s\d)(?<!\s\d\d)[.!?…][\"'”’)\]*]*(?=\s)|[。！？]|(?<=\S)(?=\n)")
COMPLETE_SENTENCE = re.compile(r"[.!?…。！？][\"'”’)\]*]*\s*\Z")


def storable(text: str) -> str:
    """Return `text` without characters that cannot be stored. The halves of a surrogate pair become one character."""
    if not _UNSTORABLE.search(text):
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return _CONTROL.sub("", joined)


def longest_transcript(seconds: float) -> int:
    """Return a length that no real transcript of `seconds` of sound reaches. More would be stored and paid for."""
    return 200 + round(50 * seconds)


class ReplyText:
    """Passes on the reply in the output of a model while it is being written.

    It leaves out reasoning, calls of tools, turns of other roles and control marks, however they are cut into deltas,
    in time proportional to the length. A mark within a text becomes a space.

    With `reasons_first`, the output begins with reasoning that only its closing mark reveals, so everything waits for
    that mark. Otherwise, if such a mark comes after something has passed, `is_spoilt` is set and nothing more passes.
    `began_unopened`: the output had a closing mark of reasoning without an opening one.
    """

    def __init__(self, *, reasons_first: bool = False) -> None:
        self.is_spoilt = False
        self.began_unopened = False
        self._waiting: list[str] | None = [] if reasons_first else None
        self._unscanned = ""
        self._depths = {"thought": 0, "call": 0}
        self._has_opened = False
        # The header of a message, while it is incomplete: its role, which a line or a mark ends, and its channel.
        self._header: str | None = None
        self._role: str | None = None
        self._header_is_line = False
        self._is_other = self._is_over = False
        self._ready: list[str] = []
        self._last = ""
        self._has_gap = self._has_passed = False

    def add(self, delta: str) -> str:
        """Add the next delta, and return the text that may pass now."""
        text = self._unscanned + delta
        half = _HIGH_SURROGATE.search(text)
        text = storable(text[:-1] if half else text)
        start = max(0, len(text) - _MAX_MARK_LENGTH)
        beginning = _BEGINNING_OF_MARK.search(text, start)
        end = beginning.start() if beginning else len(text)
        self._unscanned = text[end:] + (half[0] if half else "")
        self._scan(text[:end])
        return self._take()

    def release(self) -> None:
        """Wait no longer for a closing mark: the server sends the reasoning separately."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._pass_on("".join(waiting))

    def finish(self, *, is_cut: bool = False) -> str:
        """Return the rest of the text that may pass. `is_cut`: the output ended at its limit."""
        rest, self._unscanned = storable(self._unscanned), ""
        if not _FRAGMENT_OF_MARK.match(rest):
            self._scan(rest)
        if self._header is not None and self._header_is_line:
            self._end_header_line()
        if not is_cut:
            self.release()
        return self._take()

    def _take(self) -> str:
        ready, self._ready = "".join(self._ready), []
        if self.is_spoilt:
            return ""
        self._has_passed = self._has_passed or bool(ready)
        return ready

    def _scan(self, text: str) -> None:
        position = 0
        for mark in MARK.finditer(text):
            self._read(text[position : mark.start()])
            self._obey(mark[0].lower().replace("｜", "|").replace("▁", "_"))
            position = mark.end()
        self._read(text[position:])

    def _read(self, text: str) -> None:
        """Take the text between two marks."""
        if any(self._depths.values()) or not text:
            return
        if self._header is None:
            self._write(text)
            return
        self._header += text
        if not self._header_is_line:
            self._header = self._header[:_MAX_HEADER]
        elif "\n" in self._header.lstrip() or len(self._header) > _MAX_LINE_OF_ROLE:
            self._end_header_line()

    def _write(self, text: str) -> None:
        if self._is_other or self._is_over:
            return
        if self._waiting is not None:
            self._waiting.append(text)
        else:
            self._pass_on(text)

    def _pass_on(self, text: str) -> None:
        if not self._last:
            text = text.lstrip()
        if not text:
            return
        if self._has_gap and self._last and not self._last.isspace() and not text[0].isspace():
            self._ready.append(" ")
        self._has_gap = False
        self._ready.append(text)
        self._last = text[-1]

    def _obey(self, mark: str) -> None:
        self._has_gap = True
        meaning = _MEANING.fullmatch(mark)
        kind = meaning.lastgroup if meaning else None
        if kind in ("thought", "call"):
            self._depths[kind] += 1
            self._has_opened = self._has_opened or kind == "thought"
            self.release()
        elif kind == "end_of_call":
            self._depths["call"] = max(0, self._depths["call"] - 1)
        elif kind == "end_of_thought":
            self._end_thought()
        elif not any(self._depths.values()):
            self._obey_turns(kind)

    def _end_thought(self) -> None:
        if self._depths["thought"]:
            self._depths["thought"] -= 1
        elif not self._has_opened and not self.began_unopened:
            self.began_unopened = True
            self.is_spoilt = self._has_passed
            self._waiting = None
            self._ready, self._last = [], ""

    def _obey_turns(self, kind: str | None) -> None:
        match kind:
            case "line_of_role" | "role" | "channel":
                is_channel_of_role = kind == "channel" and self._header is not None and not self._header_is_line
                self._role = self._header if is_channel_of_role else None
                self._header, self._header_is_line = "", kind == "line_of_role"
                if kind == "channel" and self._role is None:
                    self._role = ""
            case "end_of_header" if self._header is not None:
                role, channel = (self._header, "") if self._role is None else (self._role, self._header)
                self._begin_message(role, channel)
            case "others":
                self._header, self._is_other = None, True
            case "end":
                self._header, self._is_other = None, False
                self._is_over = self._is_over or bool(self._last or self._waiting)

    def _begin_message(self, role: str, channel: str) -> None:
        self._header = None
        channels = channel.split()
        self._is_other = role.strip().lower() not in _OWN_ROLES or (bool(channels) and channels[0].lower() != "final")

    def _end_header_line(self) -> None:
        header = self._header or ""
        line = _LINE_OF_ROLE.match(header)
        self._begin_message((line[1] or line[2]) if line else "", "")
        self._write(header[line.end() :] if line else header)


class Cut(str):
    """The last delta of a reply that reached its limit in the middle of a sentence."""

    __slots__ = ()


CUT = Cut("…")


def is_whole(text: str) -> bool:
    """Tell whether `text` ends with the end of a sentence, or has none."""
    return not text.strip() or bool(COMPLETE_SENTENCE.search(text))


def end_of_sentences(text: str) -> int:
    """Return the length of the whole sentences at the beginning of `text`."""
    return max((end.end() for end in SENTENCE_END.finditer(text)), default=0)
