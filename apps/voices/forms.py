from __future__ import annotations

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from apps.voices.consent import MAX_NAME_CHARACTERS
from apps.voices.models import VoiceProfile
from apps.voices.speech_settings import settings_of


class MultipleFileInput(forms.ClearableFileInput):
    """A file input that takes several files."""

    allow_multiple_selected = True


class MultipleFileField(forms.FileField):
    """One or more uploaded files; the cleaned value is a list."""

    widget = MultipleFileInput

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile[Any]]:
        uploads = data if isinstance(data, list | tuple) else [data]
        return [super(MultipleFileField, self).clean(upload, initial) for upload in uploads]


class CloneForm(forms.Form):
    """A voice from uploaded recordings, for browsers without JavaScript."""

    name = forms.CharField(label=_("Name of the voice"), max_length=60)
    audio = MultipleFileField(label=_("Recordings"), allow_empty_file=True)


class NameForm(forms.Form):
    """The name under which somebody consents."""

    name = forms.CharField(max_length=MAX_NAME_CHARACTERS, required=False)


class SpokenConsentForm(NameForm):
    """A statement that was read aloud, for browsers without JavaScript."""

    challenge = forms.UUIDField(widget=forms.HiddenInput)
    audio = forms.FileField(label=_("Recording of the statement"), allow_empty_file=True)


class AttestationForm(NameForm):
    """A statement that is ticked, where the site does without a recording."""

    attested = forms.BooleanField(label=_("I consent to this"))


class RenameForm(forms.ModelForm[VoiceProfile]):
    class Meta:
        model = VoiceProfile
        fields = ["name"]


class SettingsForm(forms.Form):
    """The sliders of a voice, for browsers without JavaScript. One at its engine's own value is cleaned to None."""

    def __init__(self, data: Any, *, voice: VoiceProfile) -> None:
        super().__init__(data)
        self._settings = settings_of(voice.provider)
        for setting in self._settings:
            self.fields[setting.name] = forms.FloatField(min_value=setting.minimum, max_value=setting.maximum)

    def clean(self) -> dict[str, float | None]:
        own = {setting.name: setting.default for setting in self._settings}
        return {name: None if value == own[name] else value for name, value in self.cleaned_data.items()}
