from __future__ import annotations

import json
import re
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.conversations.pipeline.sentences import GROWING, GROWING_SLOWLY, Limits, SpeechChunker
from apps.conversations.pipeline.speakable import speakable
from apps.speech.normalization.text import in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

# Replies, with a bar wherever a segment ends.
REPLIES = """
Of course! | I'd be glad to help you plan a weekend in Lisbon, including where to eat.
Sure, I can help you with that. | What would you like to know first?
Yes. That is exactly what I meant.
Yes, you can. | Just leave the door open for an hour.
Well, let me think about it | for a moment. I would start with the smaller room.
That's a good question, | and the honest answer is that nobody knows.
I'm sorry to hear that; | it must have been a long day.
Here is what you need: | two eggs, a cup of flour, and a little milk.
The short answer is no — | but there is a way around it.
The short answer is no – | but there is a way around it.
I think you should call them | today and ask whether they still have a table.
Photosynthesis is the process | by which plants turn light into food.
The capital of Australia | is Canberra, not Sydney. Many people get that wrong.
The capital of France is Paris. | It lies on the Seine.
Dr. Patel will see you at 3 p.m. on Monday. | Please bring your card, e.g. a photo of it.
The ticket costs $29.50, | or about 27 euros. Children under 3.5 feet travel free.
Mr. J. R. Baker moved to the U.S. in May. | He likes it there.
Pi is roughly 3.14. | More exactly, it never ends.
Hmm... I would rather wait. | The weather may change by noon.
Well… perhaps you are right. | Let us try it your way.
She asked, “Are you sure?” and I said, | “Yes, quite sure.” Then we left.
"Take your time," | he said. "There is no hurry at all."
It opens at nine (ten on Sundays). | You can book a table online.
What a day!!! | Did you really do all that?! | Tell me more.
Good morning! | Did you sleep well?
Great idea! | Let's begin. Ready? Think of a number. | Double it.
No problem at all. | I will keep it short. Rest. | Drink. Sleep.
No. 5 is my favourite. | It was made in 1921, they say.
Version 2.0.1 of the program | fixes that. Restart it once.
My number is 555 0100. | Call me after 9:30, or write.
Absolutely! Shall we begin | with the easy part?
Natürlich, das mache ich | gern. Am 3. Oktober ist z. B. frei, da feiern wir.
Selbstverständlich! | Frau Dr. Weber kommt um 15.30 Uhr, und wir fangen dann an.
Bonjour ! | Comment allez-vous ? Je suis ravi de vous entendre.
Bien sûr : il faut deux œufs, | un peu de lait et de la farine. | « Vraiment ? » demanda-t-il.
¡Claro que sí! | ¿Quieres que empecemos con algo fácil, o prefieres un reto?
Certo, ti spiego subito. | Il sig. Rossi arriva alle nove.
Конечно, я помогу вам с этим. | Что вы хотите узнать сначала?
当然可以！|我很乐意帮你。我们先从简单的开始，好吗？
好的。今天天气很好，|我们可以去公园散步，或者去喝茶。
他说：“好的，|我马上来。”然后就走了。
もちろんです。|今日は天気がいいので、公園に行きましょう！
네, 물론입니다. | 오늘은 날씨가 정말 좋네요. | 산책하러 갈까요?
مرحبا يا صديقي، | كيف حالك اليوم؟ أنا سعيد جدا بلقائك.
جی ہاں، میں آپ کی مدد کر سکتا | ہوں۔ آپ کیا جاننا چاہتے ہیں؟
नमस्ते, मैं आपकी मदद कर सकता | हूँ। आप क्या जानना चाहते हैं?
שלום, אני שמח לעזור לך היום. | מה תרצה לדעת?
ได้ครับ ผมยินดีช่วยคุณเสมอ | คุณอยากรู้อะไรก่อนครับ
The show is on March 21, 2026 and costs $29.50, | or less.
Call on Sept. 5, 2026, | at 3 p.m. or write to us.
We were born on March 3rd, 2001, | and on May 4th, 2003.
It takes 5 – 10 days, | or 3 to 5 weeks.
Das kostet uns 1,5 Mio. Euro | und dauert von Juni bis August.
Hoy por la mañana en EE. UU. | Ella vive con 1,5 millones de euros.
ผมยินดีช่วยคุณเสมอและคุณอยากรู้อะไรก่อนครับ|วันนี้อากาศดีมากเลยไปเดินเล่นกันไหมครับ
ຂ້ອຍຍິນດີທີ່ຈະຊ່ວຍເຈົ້າສະເໝີແລະເຈົ້າຢາກຮູ້|ຫຍັງກ່ອນມື້ນີ້ອາກາດດີຫຼາຍ
ខ្ញុំរីករាយក្នុងការជួយអ្នកជានិច្ចហើយអ្នក|ចង់ដឹងអ្វីមុនថ្ងៃនេះអាកាសធាតុល្អណាស់
ကျွန်တော်ကူညီပါရစေဒီနေ့ရာသီဥတုအရမ်းကောင်း|တယ်လမ်းလျှောက်ထွက်ကြရအောင်
我很乐意帮你安排一次周末旅行|因为今天天气很好所以我们可以去公园散步或者去喝茶
今日は天気がいいので公園に行きましょうと|彼は言ったがそれは本当に素晴らしい提案だと思いました
not one mark to be seen here | and yet it has to begin
Sure thing
""".strip().splitlines()

# Text that is not meant for the ear although models write it, and the segments that are spoken.
WRITTEN = {
    "# Pancakes\n\nYou need:\n- eggs\n- **flour**, sifted\n- milk\n\n1. Stir.\n2. Fry it.\nDone! 😊": (
        "Pancakes. You need: | eggs. flour, sifted. milk. 1. Stir. | 2. Fry it. Done!"
    ),
    "Here is the program:\n```python\nprint('a. b')\n\n# Done.\n```\nRun it once. Then stop it with the red button.": (
        "Here is the program: | Code block. | Run it once. Then stop it with the red button."
    ),
    "Look at [the notes. All](https://example.org/a,b) of them. Then write to jane@example.org, please.": (
        "Look at the notes. All of them. | Then write to jane at example dot org, please."
    ),
    "| Tea | Price |\n|---|---:|\n| Green | $2 |\n| Black, strong | $3 |\nWhich one would you like?": (
        "Tea, Price. | Green, $2. Black, strong, $3. Which one would you like?"
    ),
    "**Yes, of course**, it is *very* easy. See https://www.example.org/how?to=1. It has pictures.": (
        "Yes, of course, it is very easy. | See example dot org. | It has pictures."
    ),
    "If a < b then `a = b. c` holds, I would say. It is [not] hard.": (
        "If a < b then a = b. c holds, | I would say. It is not hard."
    ),
    'Of course. <<b>break time="3s"/>Come in. [whispers softly, as if nobody heard it] Sit down, please.': (
        "Of course. | Come in. Sit down, please."
    ),
    "I think you should call them [not] today and ask whether they still have a table.": (
        "I think you should call them not | today and ask whether they still have a table."
    ),
    "👍 Sounds good to me! 🎉 Let's go": "Sounds good to me! | Let's go",
    r"The area is \(a^2 + b^2, c\), so $x = y. Z$ holds. It costs $5. Or $6 for you.": (
        "The area is a^2 + b^2, c, | so x = y. Z holds. It costs $5. Or $6 for you."
    ),
    "Bread &amp; butter, salt &nbsp; and pepper for all of you.": "Bread & butter, salt and pepper | for all of you.",
    "👍": "",
    "...": "",
    "": "",
}


def segments_of(deltas: list[str]) -> list[str]:
    chunker = SpeechChunker()
    return [segment for delta in deltas for segment in chunker.feed(delta)] + chunker.finish()


def tokens(text: str) -> list[str]:
    """Cut as language models do: a word with the space in front of it."""
    return re.findall(r"\s?[^\s]{1,8}|\s", text)


def without_space(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("row", REPLIES)
def test_a_reply_is_cut_where_a_speaker_would_pause(row: str) -> None:
    reply = row.replace(" | ", " ").replace("|", "")
    assert segments_of(tokens(reply)) == [segment.strip() for segment in row.split("|")]


@pytest.mark.parametrize("written", WRITTEN)
def test_written_forms_are_cut_and_turned_into_words(written: str) -> None:
    assert segments_of(tokens(written)) == [segment.strip() for segment in WRITTEN[written].split("|") if segment]


@pytest.mark.parametrize(
    ("deltas", "segment"),
    [
        (["That", "'s", " a", " good", " question", ","], "That's a good question,"),
        (["The", " short", " answer", " is", " no", " —"], "The short answer is no —"),
        (["I", " think", " you", " should", " call", " them", " t"], "I think you should call them"),
        (["Of", " course", "!", " I"], "Of course!"),
        (["Good", " morning", "!\n"], "Good morning!"),
        (["好的", "。今天", "天气", "很好", "，"], "好的。今天天气很好，"),
    ],
)
def test_the_first_segment_is_there_as_soon_as_it_is_certain(deltas: list[str], segment: str) -> None:
    chunker = SpeechChunker()
    assert [chunker.feed(delta) for delta in deltas[:-1]] == [[]] * (len(deltas) - 1)
    assert chunker.feed(deltas[-1]) == [segment]


def test_a_first_sentence_without_a_pause_is_cut_at_a_word() -> None:
    segments = segments_of(
        tokens("Lighthouse keepers seldom slept before midnight when winter storms came in from sea.")
    )
    assert segments[0] == "Lighthouse keepers seldom"


def test_a_long_second_sentence_is_cut_at_a_clause() -> None:
    sentence = "Lighthouse keepers seldom slept before midnight in winter when the storms came in from the open sea"
    segments = segments_of(tokens(f"{sentence}, {sentence.lower()}, {sentence.lower()}."))
    assert segments[:2] == [
        "Lighthouse keepers seldom",
        "slept before midnight in winter when the storms came in from the open sea,",
    ]
    without_marks = segments_of(tokens("one word after the other and " * 20))
    assert len(without_marks[0]) < len(without_marks[1]) < 120 < len(without_marks[2])


def test_a_very_long_sentence_is_cut_at_its_commas() -> None:
    clause = "and then they walked along the river until the sun went down behind the hills, "
    segments = segments_of(tokens("They started early, " + clause * 20))
    assert max(map(len, segments)) <= 250
    assert all(segment.endswith(",") for segment in segments)


def test_a_space_in_thai_ends_a_clause() -> None:
    segments = segments_of(list("ผมยินดีช่วยคุณเสมอ " * 40))
    assert {len(segment.split()[-1]) for segment in segments} == {18}
    assert max(map(len, segments)) < 180


@pytest.mark.parametrize("text", ["word " * 500, "一" * 500, "ผมยินดีช่วยคุณเสมอ" * 40])
def test_a_text_without_any_mark_is_cut_at_a_word(text: str) -> None:
    assert max(map(len, segments_of(tokens(text)))) <= 260


def test_code_that_is_never_closed_is_not_spoken() -> None:
    assert segments_of(tokens("Here you are:\n```\nx = 1.\n" + "y = 2. And more.\n" * 50)) == [
        "Here you are:",
        "Code block.",
    ]


# Parts of replies, as written and as spoken.
PARTS = {
    "Yes.": "Yes.",
    "Of course!": "Of course!",
    "Dr. Patel paid $29.50 at 3 p.m., i.e. too much.": "Dr. Patel paid $29.50 at 3 p.m., i.e. too much.",
    "“Really?” he asked. “Yes (I think so).”": "“Really?” he asked. “Yes (I think so).”",
    "Well… wait... No. 5, or 3.14?!": "Well… wait... No. 5, or 3.14?!",
    "It is **bold**, _soft_ and `x = 1. y`.": "It is bold, soft and x = 1. y.",
    "See [the page, please](https://example.org/a.b,c). 😊": "See the page, please.",
    "Write to jane@example.org or https://www.example.org/x?y=1, soon.": (
        "Write to jane at example dot org or example dot org, soon."
    ),
    "\n## A title\n": "A title.",
    "\n- one\n- two, three\n- four\n": "one. two, three. four.",
    "\n| Tea | $2 |\n|---|---|\n| Green, hot | $3 |\n": "Tea, $2. Green, hot, $3.",
    "\n```py\nprint('x. y')\n```\n": "Code block.",
    "\n1. Stir the milk.\n2. Serve it <b>hot</b>!\n": "1. Stir the milk. 2. Serve it hot!",
    "no mark at the end of a rather long line of words that goes on and on\n": (
        "no mark at the end of a rather long line of words that goes on and on."
    ),
    "今天天气很好，我们去公园吧！好的。": "今天天气很好，我们去公园吧！好的。",
    "Am 3. Mai kommt Frau Dr. Weber, z. B. um 15.30 Uhr.": "Am 3. Mai kommt Frau Dr. Weber, z. B. um 15.30 Uhr.",
    "كيف حالك اليوم؟ أنا بخير، شكرا.": "كيف حالك اليوم؟ أنا بخير، شكرا.",
    "नमस्ते, आप कैसे हैं? मैं ठीक हूँ।": "नमस्ते, आप कैसे हैं? मैं ठीक हूँ।",
}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(list(PARTS)), min_size=1, max_size=12))
def test_every_word_of_a_reply_is_spoken_once_and_in_order(parts: list[str]) -> None:
    segments = segments_of(tokens(" ".join(parts)))
    assert without_space(" ".join(segments)) == without_space(" ".join(PARTS[part] for part in parts))


WORDS = st.from_regex(
    r"[a-zA-ZäöüéñçßÀ-ÖØ-Ýа-яА-Яα-ωא-תء-يऄ-हก-ฮ가-힣][a-zéöа-яα-ωא-תء-يऄ-हก-ฮ가-힣0-9']{0,11}", fullmatch=True
)
MARKS = st.sampled_from(
    ["", "", "", "", "", ",", ";", ":", ".", ".", "!", "?", "...", "…", "?!", "؟", "،", "।", " —", " –", " !"]
)
PROSE = st.lists(st.tuples(WORDS, MARKS).map("".join), min_size=1, max_size=60).map(" ".join)
SIGNS = [
    *" \n\n.,;:!?…—–-\"'“”«»()[]<>*_#`~|>$\\/@&^{}。，！？、「」؟،।",
    "```",
    "](",
    "https://example.org",
    "\n- ",
    "😊",
]
SIGNS += [
    "$",
    "\\(",
    "\\)",
    "\\[",
    "\\]",
    "&amp;",
    "5",
    "3rd",
    "ผมยินดีช่วยคุณเสมอและคุณอยากรู้",
    "天气很好我们去公园散步吧",
    "\u1780\u17d2\u1780",
]
ANYTHING = st.lists(st.sampled_from(SIGNS) | WORDS | st.text(max_size=5), max_size=60).map("".join)


@settings(deadline=None)
@given(PROSE)
def test_the_segments_of_prose_joined_by_spaces_are_the_prose(prose: str) -> None:
    assert " ".join(segments_of(tokens(prose))) == prose == speakable(prose)


@settings(deadline=None, max_examples=200)
@given(PROSE | ANYTHING, st.data())
def test_the_segments_do_not_depend_on_how_the_text_arrives(text: str, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=20).map(sorted))
    deltas = [text[start:end] for start, end in pairwise([0, *places, len(text)])]
    assert segments_of(deltas) == segments_of([text]) == segments_of(list(text))


@settings(deadline=None)
@given(ANYTHING)
def test_every_segment_is_one_line_with_something_to_say(text: str) -> None:
    for segment in segments_of(tokens(text)):
        assert any(map(str.isalnum, segment))
        assert segment == " ".join(segment.split())


@pytest.mark.parametrize(
    "text", ["A day by the sea, e.g. in May, costs $9.50. Really! ", "word ", "(", "<a", "[a](", "* "]
)
def test_a_delta_costs_the_same_late_in_a_reply(text: str) -> None:
    deltas = tokens(text * (20_000 // len(text)))
    start = time.process_time()
    segments_of(deltas)
    assert (time.process_time() - start) / len(deltas) < 0.0002


OPENINGS = {
    "en": ["", "Well, ", "Yes. ", "Let me see what I can find for you here, and "],
    "de": ["", "Ja, ", "Gut. ", "Ich sehe gleich einmal für dich nach, denn "],
    "es": ["", "Bueno, ", "Sí. ", "Voy a ver qué puedo encontrar, pues "],
    "fr": ["", "Eh bien, ", "Oui. ", "Je vais voir ce que je trouve pour vous, car "],
    "it": ["", "Allora, ", "Sì. ", "Vediamo un po' che cosa trovo, perché "],
}
WITH_NUMBERS = json.loads((Path(__file__).parents[1] / "data" / "spoken_numbers.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("limits", [GROWING, GROWING_SLOWLY])
@pytest.mark.parametrize("language", OPENINGS)
def test_no_cut_falls_into_a_date_or_an_amount(language: str, limits: Sequence[Limits]) -> None:
    for sentence in WITH_NUMBERS[language]:
        for opening in OPENINGS[language]:
            chunker = SpeechChunker(limits)
            segments = [segment for character in opening + sentence for segment in chunker.feed(character)]
            said = [in_words(segment, language) for segment in segments + chunker.finish()]
            assert " ".join(said) == in_words(opening + sentence, language)
