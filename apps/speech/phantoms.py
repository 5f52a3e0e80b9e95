"""Transcripts of nothing: what speech-to-text models write when they hear noise, music or a pause.

Whisper and its successors learned from subtitles, where such lines stand beside sound without speech. People say some
of them, too, so a transcript must never be judged by its words alone.
"""

from __future__ import annotations

import re
import unicodedata

# As `_words` returns them.
_PHRASES = """
you
so
bye
thank you
thank you so much
thank you very much
thank you for watching
thank you so much for watching
thank you for listening
thank you for your attention
thanks
thanks for watching
thanks for listening
see you next time
see you in the next video
see you next video
please subscribe
please subscribe to my channel
like and subscribe
dont forget to subscribe
silence
music
applause
blank audio
danke
danke schön
danke fürs zuschauen
vielen dank
vielen dank fürs zuschauen
vielen dank für die aufmerksamkeit
bis zum nächsten mal
tschüss
merci
merci davoir regardé
merci davoir regardé cette vidéo
gracias
gracias por ver
gracias por ver el video
gracias por ver el vídeo
muchas gracias por ver el video
obrigado
obrigado por assistir
obrigada por assistir
grazie
grazie per la visione
grazie per lattenzione
bedankt voor het kijken
dziękuję
dziękuję za uwagę
dziękuję za oglądanie
tack för att ni tittade
izlediğiniz için teşekkürler
izlediğiniz için teşekkür ederim
продолжение следует
спасибо за просмотр
спасибо за внимание
дякую за перегляд
شكرا
شكرا لكم
شكرا على المشاهدة
धन्यवाद
谢谢
谢谢大家
谢谢观看
謝謝觀看
感谢观看
請不吝點贊 訂閱 轉發 打賞支持明鏡與點點欄目
请不吝点赞 订阅 转发 打赏支持明镜与点点栏目
ご視聴ありがとうございました
おやすみなさい
감사합니다
시청해주셔서 감사합니다
시청해 주셔서 감사합니다
"""
_LONGEST_FIRST = sorted(_PHRASES.strip().splitlines(), key=len, reverse=True)
# Credits: subtitles by somebody or for somebody.
_CREDITS = re.compile(
    r"(?:(?:subtitles?|captions?|transcribed|transcription|translated|translation) (?:created )?by|untertitel(?:ung)?"
    r"|sous titr(?:es|age)|subtítulos|legendas?|sottotitoli|ondertitels|ondertiteld|ondertiteling|napisy"
    r"|undertext(?:er)?|altyazı|субтитры|редактор субтитров|ترجمة|字幕|中文字幕) ?.{1,60}|copyright \w+ \d{4}"
)
# Sounds that a model describes: [BLANK_AUDIO], (music), *sighs*, ♪ words of a song ♪.
_DESCRIBED = re.compile(
    r"\[[^]]{0,200}\]|\([^)]{0,200}\)|（[^）]{0,200}）|【[^】]{0,200}】|<[^>]{0,200}>|\*[^*]{0,200}\*|♪[^♪]*"
)


def has_words(text: str) -> bool:
    """Tell whether `text` contains a letter or a digit, and not only marks and signs."""
    return bool(_words(text))


def is_doubtful(text: str) -> bool:
    """Tell whether `text` only describes sounds, or only repeats what models write over sound without speech."""
    words = _words(_DESCRIBED.sub(" ", text))
    return _CREDITS.fullmatch(words) is not None or _without_phrases(words) == ""


def _without_phrases(words: str) -> str:
    """Return what is left of `words` behind the phrases with which they begin."""
    while words:
        phrase = next((each for each in _LONGEST_FIRST if f"{words} ".startswith(f"{each} ")), None)
        if phrase is None:
            break
        words = words[len(phrase) + 1 :]
    return words


def _words(text: str) -> str:
    """Return the words of `text` in lower case, one space between them, without punctuation, signs and marks."""
    text = re.sub("['’]", "", text.casefold())
    letters = (each if unicodedata.category(each)[0] in "LMN" else " " for each in text)
    return " ".join("".join(letters).split())
