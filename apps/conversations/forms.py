from __future__ import annotations

from django import forms

from apps.conversations.models import Conversation


class TitleForm(forms.ModelForm[Conversation]):
    class Meta:
        model = Conversation
        fields = ["title"]
