"""The languages that a conversation can be set to."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Language(models.TextChoices):
    """The languages that cloned voices speak, by their ISO 639-1 codes.

    Source: the languages of ElevenLabs' Flash v2.5, except Filipino, which has no ISO 639-1 code.
    """

    ARABIC = "ar", _("Arabic")
    BULGARIAN = "bg", _("Bulgarian")
    CHINESE = "zh", _("Chinese")
    CROATIAN = "hr", _("Croatian")
    CZECH = "cs", _("Czech")
    DANISH = "da", _("Danish")
    DUTCH = "nl", _("Dutch")
    ENGLISH = "en", _("English")
    FINNISH = "fi", _("Finnish")
    FRENCH = "fr", _("French")
    GERMAN = "de", _("German")
    GREEK = "el", _("Greek")
    HINDI = "hi", _("Hindi")
    HUNGARIAN = "hu", _("Hungarian")
    INDONESIAN = "id", _("Indonesian")
    ITALIAN = "it", _("Italian")
    JAPANESE = "ja", _("Japanese")
    KOREAN = "ko", _("Korean")
    MALAY = "ms", _("Malay")
    NORWEGIAN = "no", _("Norwegian")
    POLISH = "pl", _("Polish")
    PORTUGUESE = "pt", _("Portuguese")
    ROMANIAN = "ro", _("Romanian")
    RUSSIAN = "ru", _("Russian")
    SLOVAK = "sk", _("Slovak")
    SPANISH = "es", _("Spanish")
    SWEDISH = "sv", _("Swedish")
    TAMIL = "ta", _("Tamil")
    TURKISH = "tr", _("Turkish")
    UKRAINIAN = "uk", _("Ukrainian")
    VIETNAMESE = "vi", _("Vietnamese")
