from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy, ngettext

from apps.accounts.authentication import signed_in_user
from apps.accounts.models import User
from apps.accounts.services import activate, deactivate, may_change_account
from apps.conversations.models import Conversation
from apps.core.admin_actions import Question, ask, is_confirmed, note_action
from apps.core.content_access import may_read_content
from apps.core.links import absolute_url
from apps.core.pages import report_refusals_to
from apps.core.read_only_admin import LongListAdmin
from apps.privacy import erasures
from apps.privacy.exports import start_export
from apps.site.person import person_panels
from apps.usage.limits import LIMIT_NAMES, set_limits, site_limits
from apps.usage.models import PersonLimits
from apps.voices.models import VoiceProfile

DEACTIVATE = Question(
    action="deactivate",
    title=gettext_lazy("Deactivate accounts"),
    text=gettext_lazy(
        "These people are refused from their next request on. Answers that are being spoken stop, and live "
        "conversations end within five seconds. Nothing is deleted:"
    ),
    button=gettext_lazy("Deactivate"),
    is_destructive=True,
)
LIMITS = Question(
    action="change_limits",
    title=gettext_lazy("Change limits"),
    text=gettext_lazy("From the next request on, these limits hold for:"),
    button=gettext_lazy("Change limits"),
)
EXPORT = Question(
    action="export_data",
    title=gettext_lazy("Export all data of people"),
    text=gettext_lazy(
        "All data of these people is exported, as if they had asked for it on their page, and replaces an export that "
        "they have. They are told by mail. Do this only to send it on to them. When it is ready, it is under Exports "
        "for a day, and their data will show who fetched it:"
    ),
    button=gettext_lazy("Export"),
)


class LimitsForm(forms.Form):
    """Limits of a person's own. An empty field means the site's limit, 0 no limit."""

    requests_per_day = forms.IntegerField(
        label=gettext_lazy("Requests per day"), required=False, min_value=0, max_value=10**9
    )
    heard_seconds_per_day = forms.IntegerField(
        label=gettext_lazy("Seconds of speech heard per day"), required=False, min_value=0, max_value=10**9
    )
    spoken_characters_per_day = forms.IntegerField(
        label=gettext_lazy("Characters spoken per day"), required=False, min_value=0, max_value=10**9
    )
    concurrent_requests = forms.IntegerField(
        label=gettext_lazy("Requests at once"), required=False, min_value=0, max_value=10**9
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        site = site_limits()
        text = gettext("Empty: that of the site (%(limit)s). 0: no limit.")
        for name in LIMIT_NAMES:
            self.fields[name].help_text = text % {"limit": getattr(site, name) or gettext("none")}


def _count_of(model: Any) -> Coalesce:
    rows = model._default_manager.filter(owner=OuterRef("pk")).order_by().values("owner")
    return Coalesce(Subquery(rows.annotate(count=Count("pk")).values("count")), 0)


@admin.register(User)
class PersonAdmin(LongListAdmin, UserAdmin[User]):
    """Accounts. To delete one is to erase it: with all rows and files, and with its voices at their providers."""

    list_display = [
        "username",
        "email",
        "is_active",
        "is_staff",
        "voice_count",
        "conversation_count",
        "last_login",
        "date_joined",
    ]
    list_filter = ["is_active", "is_staff", "is_superuser", "date_joined", "last_login"]
    actions = ["deactivate", "activate", "change_limits", "export_data"]
    change_form_template = "admin/accounts/user/change_form.html"

    class Media:
        css = {"all": ["css/admin.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        counts = {"voices_counted": _count_of(VoiceProfile), "conversations_counted": _count_of(Conversation)}
        people: QuerySet[Any] = super().get_queryset(request).annotate(**counts)
        return people

    @admin.display(description=gettext_lazy("voices"))
    def voice_count(self, person: Any) -> int:
        return int(person.voices_counted)

    @admin.display(description=gettext_lazy("conversations"))
    def conversation_count(self, person: Any) -> int:
        return int(person.conversations_counted)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and _may_change(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_change(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        if request.user.is_superuser:
            return fields
        return [*fields, "is_staff", "is_superuser", "groups", "user_permissions"]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        person = self.get_object(request, object_id)
        context = {
            "panels": person_panels(person, may=request.user.has_perm) if person else None,
            "may_change": self.has_change_permission(request, person),
            "may_limit": self.has_limit_permission(request),
            "may_export": self.has_export_permission(request),
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)

    @admin.action(description=gettext_lazy("Deactivate…"), permissions=["change"])
    def deactivate(self, request: HttpRequest, people: QuerySet[User]) -> HttpResponse | None:
        if not is_confirmed(request):
            return ask(request, self, people, DEACTIVATE)
        chosen = _allowed(request, people)
        with report_refusals_to(lambda message: messages.error(request, message)):
            count = deactivate(users=chosen, by=signed_in_user(request))
            note_action(request, chosen, "Deactivated.")
            text = ngettext("%(count)d account is blocked.", "%(count)d accounts are blocked.", count)
            messages.success(request, text % {"count": count})
        return None

    @admin.action(description=gettext_lazy("Let sign in again"), permissions=["change"])
    def activate(self, request: HttpRequest, people: QuerySet[User]) -> None:
        chosen = _allowed(request, people.filter(erasure=None))
        count = activate(users=chosen, by=signed_in_user(request))
        note_action(request, chosen, "Activated.")
        text = ngettext("%(count)d account can sign in again.", "%(count)d accounts can sign in again.", count)
        messages.success(request, text % {"count": count})

    @admin.action(description=gettext_lazy("Change limits…"), permissions=["limit"])
    def change_limits(self, request: HttpRequest, people: QuerySet[User]) -> HttpResponse | None:
        form = LimitsForm(request.POST if is_confirmed(request) else None, initial=_own_limits(people))
        if not is_confirmed(request) or not form.is_valid():
            return ask(request, self, people, LIMITS, form)
        chosen = _allowed(request, people)
        for person in chosen:
            set_limits(owner_id=person.pk, **form.cleaned_data)
        note_action(request, chosen, f"Limits changed: {form.cleaned_data}")
        messages.success(request, gettext("The limits hold from the next request on."))
        return None

    @admin.action(description=gettext_lazy("Export all data…"), permissions=["export"])
    def export_data(self, request: HttpRequest, people: QuerySet[User]) -> HttpResponse | None:
        if not is_confirmed(request):
            return ask(request, self, people, EXPORT)
        for person in people:
            with report_refusals_to(lambda message: messages.error(request, message)):
                start_export(owner=person)
                note_action(request, [person], "Export of all data started.")
                messages.success(request, gettext("The export is being made: see Exports."))
        return None

    def has_limit_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("usage.change_personlimits")

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("privacy.view_export") and may_read_content(request.user)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)  # One by one: an erasure is not undone.
        return actions

    def get_deleted_objects(
        self, objs: Any, _request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Return the accounts only. Django would read everything that belongs to them to list it."""
        names = [str(user) for user in objs]
        return names, {str(User._meta.verbose_name_plural): len(names)}, set(), []

    def delete_model(self, request: HttpRequest, user: User) -> None:
        with report_refusals_to(lambda message: messages.error(request, message)):
            erasure = erasures.request_erasure(user=user)
            link = absolute_url(request, reverse("privacy:erasure", args=[erasure.pk]))
            transaction.on_commit(partial(erasures.mail_confirmation, erasure=erasure, link=link))
            messages.success(request, gettext("The account is blocked, and is erased with all its data: see Erasures."))

    def response_delete(self, _request: HttpRequest, _obj_display: str, _obj_id: int) -> HttpResponse:
        return redirect("admin:accounts_user_changelist")


def _may_change(request: HttpRequest, person: User | None) -> bool:
    return person is None or may_change_account(by=request.user, account=person)


def _allowed(request: HttpRequest, people: QuerySet[User]) -> list[User]:
    """Return those of the selected people whom the user may change, and say so if some are left out."""
    chosen = [person for person in people if _may_change(request, person)]
    if len(chosen) < len(people):
        messages.warning(request, gettext("Only superusers change accounts of staff: these stay as they are."))
    return chosen


def _own_limits(people: QuerySet[User]) -> dict[str, Any]:
    """Return the limits that the selected person has, to begin with; none if there are several people."""
    pks = list(people.values_list("pk", flat=True)[:2])
    own = PersonLimits.objects.filter(owner_id=pks[0]).values(*LIMIT_NAMES).first() if len(pks) == 1 else None
    return own or {}
