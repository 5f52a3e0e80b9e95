"""Actions of the admin that ask before they act, and that leave an entry in its log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.functional import Promise

CONFIRMED = "confirmed"
SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an action asks before it acts: a title, a text, and the label of the button that confirms."""

    action: str
    title: str | Promise
    text: str | Promise
    button: str | Promise
    is_destructive: bool = False


def ask(
    request: HttpRequest,
    model_admin: admin.ModelAdmin[Any],
    rows: QuerySet[Any],
    question: Question,
    form: forms.Form | None = None,
) -> TemplateResponse:
    """Return the page that names the selected rows and asks; its form calls the action again, with `confirmed`."""
    context = {
        **model_admin.admin_site.each_context(request),
        "title": question.title,
        "question": question,
        "form": form,
        "opts": model_admin.opts,
        "media": model_admin.media,
        "shown": rows[:SHOWN],
        "count": rows.count(),
        "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "select_across": request.POST.get("select_across", "0"),
        "checkbox": ACTION_CHECKBOX_NAME,
        "confirmed": CONFIRMED,
    }
    return TemplateResponse(request, "admin/ask.html", context)


def is_confirmed(request: HttpRequest) -> bool:
    return CONFIRMED in request.POST


def note_action(request: HttpRequest, rows: Iterable[Model], text: str) -> None:
    """Write an entry to the admin's log for each row.

    It has the id of the row in place of its name, which may be a person's and would outlive their data.
    """
    actor: Any = request.user.pk
    entries = [
        LogEntry(
            user_id=actor,
            content_type=ContentType.objects.get_for_model(type(row)),
            object_id=str(row.pk),
            object_repr=str(row.pk),
            action_flag=CHANGE,
            change_message=text,
        )
        for row in rows
    ]
    LogEntry.objects.bulk_create(entries)
