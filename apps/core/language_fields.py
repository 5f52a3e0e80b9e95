"""Fields of the API that take a language by its code, with or without a region, or by its name."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.speech.languages import code_of


# The description has a pattern for codes only, because not every word is a name.
@extend_schema_field(
    {
        "type": "string",
        "pattern": r"^([a-zA-Z]{2,3}([-_][a-zA-Z0-9]{2,8})?)?$",
        "description": "A code such as `de` or `de-DE`; also an English name such as `German`, or `auto`.",
    }
)
class LanguageField(serializers.CharField):
    """Any language: its code, "" if it is to be detected."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, allow_blank=True, max_length=60, **options)

    def to_internal_value(self, data: Any) -> str:
        code = code_of(super().to_internal_value(data))
        if code is None:
            text = _("This is no language. Send a code such as “de”, a name such as “German”, or “auto”.")
            raise serializers.ValidationError(text)
        return code


class LanguageChoiceField(serializers.ChoiceField):
    """One of some languages, by its code. Where the field may be blank, "auto" is blank, too."""

    def to_internal_value(self, data: Any) -> Any:
        code = code_of(data) if isinstance(data, str) else None
        return super().to_internal_value(data if code is None else code)
