from __future__ import annotations

import re
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.conversations.pipeline.speakable import speakable

SPOKEN = {
    # Markdown
    "**Bold**, *soft*, __both__ and _thin_.": "Bold, soft, both and thin.",
    "# Title\nText here.\n## Part two ##\nMore.": "Title. Text here. Part two. More.",
    "- one\n- two, three\n  * four\n• five": "one. two, three. four. five",
    "- [ ] to do\n- [x] done": "to do. done",
    "1. Stir.\n2. Fry.": "1. Stir. 2. Fry.",
    "> They said\n> so.": "They said. so.",
    "One.\n\n---\n\nTwo.\n***\nThree.": "One. Two. Three.",
    "See [the page](https://example.org/a_(b) 'Title'), please.": "See the page, please.",
    "![A red fox](fox.png) and [![build](b.svg)](https://example.org)": "A red fox and build",
    "| Tea | Price |\n|:---|---:|\n| Green | $2 |\n": "Tea, Price. Green, $2.",
    "| A | B |\n|-|-|\n| 1 | |\n| | 2 |\nEnd\na | b\n--- | ---\nc | d": "A, B. 1. 2. End. a, b. c, d",
    "Press `Ctrl+C`, then call `my_function` or write `<b>`.": "Press Ctrl+C, then call my function or write b .",
    "Before:\n```python\nprint('*')\n```\nAfter.": "Before: Code block. After.",
    "```\nnever closed": "Code block.",
    "~~Old~~ new": "Old new",
    # Addresses
    "Go to https://www.example.org/a/b?c=1#d.": "Go to example dot org.",
    "At http://jane:pass@example.org:80/x, (ftp://a.example.org)": "At example dot org, (a dot example dot org)",
    "<https://example.org> or <mailto:jane@example.org>": "example dot org or jane at example dot org",
    "见https://example.org/a。好": "见example dot org。好",
    "Write to jane.doe@example.co.uk.": "Write to jane dot doe at example dot co dot uk.",
    # Emoji
    "Great 😊! Go 👩‍👩‍👧 now ❤️": "Great! Go now",
    "Press 1️⃣ in 🇩🇪.": "Press 1 in.",
    "Up 👍🏽 👨‍👩‍👧‍👦 ❤️‍🔥 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ©️ ™️ ‼️ #️⃣ *️⃣ now": "Up now",
    "\u200bHi\u00ad \ufeffthere\u202e \x07you": "Hi there you",
    # Markup for voices
    '<<b>break time="3s"/>Hello <<<b>b>break/>there.': "Hello there.",
    "<lo<b>ud>Come in</lo<i>ud>.": "Come in.",
    "[whispers] Come in. [laughs softly] Sit down, [sighs] please.": "Come in. Sit down, please.",
    "[[whispers]] Komm. [flüstert] Ja. [低声] 好。": "Komm. Ja. 好。",
    "<*break time='1s' x > and [*whispers]": "< break time='1s' x > and whispers",
    "<break and [whispers": "< break and whispers",
    "whispers] and break/>": "whispers and break/",
    # Brackets and signs that are none
    "It is [not] hard, dear [Your name].": "It is not hard, dear Your name.",
    "See [1] and [2, 3], f[x] and a[0].": "See 1 and 2, 3, f x and a 0.",
    "5 < 6 and 7 > 3, I <3 you.": "5 < 6 and 7 > 3, I <3 you.",
    # HTML and formulas
    "<b>One</b><br>two<!-- no --> <p class='x'>three</p>": "One two three",
    r"\(x^2\) and \[ y \] and $$z$$ and $E=mc^2$ for $5": "x^2 and y and z and E=mc^2 for $5",
    r"So \(\frac{a}{b}\), $\frac{1}{2}$, \[\n\sqrt{x_1} \times 2\n\] and $x^{2}$.".replace(r"\n", "\n"): (
        "So a ÷ b, 1/2, √x 1 × 2 and x^2."
    ),
    r"$\alpha \leq 20^\circ$ and \frac{\sqrt{2}}{2}, \text{speed} = 5 \cdot 3": (
        "alpha ≤ 20 ° and √2 ÷ 2, speed = 5 × 3"
    ),
    r"So $\int_0^1 x^2 \, dx$ and \boxed{42} \\ end": "So integral 0, 1 x^2 dx and 42 end",
    "It costs $5 or $10, US$5 and C$6; $AAPL is up.": "It costs $5 or $10, US$5 and C$6; $AAPL is up.",
    "2**3 = 8, x**2, (a+b)**2 and **Bold**text": "2^3 = 8, x^2, (a+b)^2 and Boldtext",
    # Programs, files and HTML entities
    "A List<int>, Map<String, int> or Promise<void>; Map<String, List<T>>": (
        "A List int, Map String, int or Promise void; Map String, List T"
    ),
    "Hello<break>there<prosody rate='x'>you": "Hellothereyou",
    "Open /etc/nginx/nginx.conf, ./src/main.py, ~/notes or C:\\Users\\Jane\\a.txt; see app.js.": (
        "Open etc nginx nginx dot conf, src main dot py, notes or C Users Jane a dot txt; see app dot js."
    ),
    "and/or, TCP/IP, km/h and 12/25/2025, e.g. this.Next": "and/or, TCP/IP, km/h and 12/25/2025, e.g. this.Next",
    "Salt &amp; pepper&nbsp;&#39;here&#39; &#x20AC;5 AT&T &copy": "Salt & pepper 'here' €5 AT&T &copy",
    "Hi &lt;break time='9s'/&gt;there &amp;lt;b&amp;gt;you": "Hi there you",
    # Footnote marks
    "As shown[1], in Paris [2, 3]. Smith¹ agrees.[^1] See [1].": "As shown, in Paris. Smith agrees. See 1.",
    "[^1]: A note\u30104:0\u2020source\u3011.": "A note.",
    "x² and 10³ in km², H₂O": "x² and 10³ in km², H₂O",
    # Signs
    "A ↔ B ↑ up, ~5 km, ~$20 :)": "A, B up, ~5 km, ~$20",
    "A * B, ~five, #tag, a|b, C -> D → E": "A B, five, tag, a, b, C, D, E",
    "5 * 3 > 2*4 < 9": "5 × 3 > 2 × 4 < 9",
    "Number #1 in C# and F♯": "Number #1 in C# and F♯",
    # Lines without a mark
    "Buy milk\nBuy bread!\n中文标题\n好。": "Buy milk. Buy bread! 中文标题。 好。",
    # Nothing to say
    "👍": "",
    "**": "",
    " \n…": "",
}


@pytest.mark.parametrize("written", SPOKEN)
def test_written_text_becomes_spoken_text(written: str) -> None:
    assert speakable("\n" + written) == SPOKEN[written]


def test_a_dash_within_a_line_is_not_an_item() -> None:
    assert speakable("- as I said - it is fine") == "- as I said - it is fine"


# Letters, their marks and digits of every script there is; the marks of emoji aside.
WORD = st.text(
    st.characters(categories=["L", "M", "Nd"], exclude_characters="\ufe0e\ufe0f\u20e3"), min_size=1, max_size=12
).filter(lambda word: unicodedata.category(word[0]) != "Mn" and any(map(str.isalnum, word)))
MARK = st.sampled_from(
    [*",;:.!?…—–'\"”’)»%&+=^@", "", "", "", "。", "，", "？", "؟", "۔", "।", "؛", "։", "¿", "¡", "'s", " -", " ?", " »"]
)
PROSE = st.lists(
    st.tuples(st.sampled_from(["", "", "", "(", "“", "«", "'", "$", "€", "-"]), WORD, MARK).map("".join),
    min_size=1,
)


@settings(deadline=None)
@given(PROSE.map(" ".join))
def test_plain_prose_of_every_script_stays_unchanged(prose: str) -> None:
    assert speakable("\n" + prose) == prose


MARKUP = st.sampled_from(
    [
        "<",
        ">",
        "[",
        "]",
        "/",
        "!",
        "b",
        "break",
        "whispers",
        "*",
        "`",
        "_",
        "\\",
        "(",
        ")",
        "$",
        "|",
        " ",
        "\n",
        "😊",
        "1",
        "&lt;",
        "&#91;",
        "&amp;",
        "List",
        "int",
        "frac{",
        "}",
    ]
)


@settings(deadline=None, max_examples=500)
@given(st.lists(MARKUP, max_size=20).map("".join))
def test_no_markup_reaches_a_voice(text: str) -> None:
    assert not re.search(r"[\[\]]|<[a-zA-Z/!?]", speakable("\n" + text))


@pytest.mark.parametrize(
    "text",
    [
        "[a](",
        "![",
        "<a",
        "$a",
        "*",
        "_a",
        "- ",
        "\n- ",
        "😊\n",
        " ",
        "| ",
        "a.",
        "http://",
        "`a",
        "\\",
        "-",
        "a@",
        "(",
        "<",
        "[",
        "]",
        "a[",
        "<a>",
        "a:",
        "\\[",
        "\\(a",
        "$x",
        "\\frac{",
        "&a",
        "/a",
        "a/",
        "C:\\a\\",
        "A<B",
        "a[1",
        "a^{",
        "\\a",
        ".a",
    ],
)
def test_no_text_makes_it_slow(text: str) -> None:
    start = time.process_time()
    speakable(text * (100_000 // len(text)))
    assert time.process_time() - start < 0.5
