from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy


class VerifyForm(forms.Form):
    file = forms.FileField(label=gettext_lazy("Sound file"), allow_empty_file=True)
