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
    """Clones a voice from uploaded recordings, in browsers without JavaScript."""

    name = forms.CharField(label=_("Name of the voice"), max_length=60)
    audio = MultipleFileField(label=_("Recordings"), allow_empty_file=True)


class NameForm(forms.Form):
    """The name in a statement of consent."""

    name = forms.CharField(max_length=MAX_NAME_CHARACTERS, required=False)


class SpokenConsentForm(NameForm):
    """A recording of the statement, uploaded by browsers without JavaScript."""

    challenge = forms.UUIDField(widget=forms.HiddenInput)
    audio = forms.FileField(label=_("Recording of the statement"), allow_empty_file=True)


class AttestationForm(NameForm):
    """A statement that the person confirms with a tick, on sites that require no recording."""

    attested = forms.BooleanField(label=_("I consent to this"))


class RenameForm(forms.ModelForm[VoiceProfile]):
    class Meta:
        model = VoiceProfile
        fields = ["name"]


class SettingsForm(forms.Form):
    """The sliders of a voice, for browsers without JavaScript. A value equal to the engine's default becomes None."""

    def __init__(self, data: Any, *, voice: VoiceProfile) -> None:
        super().__init__(data)
        self._settings = settings_of(voice.provider)
        for setting in self._settings:
            self.fields[setting.name] = forms.FloatField(min_value=setting.minimum, max_value=setting.maximum)

    def clean(self) -> dict[str, float | None]:
        defaults = {setting.name: setting.default for setting in self._settings}
        return {name: None if value == defaults[name] else value for name, value in self.cleaned_data.items()}
