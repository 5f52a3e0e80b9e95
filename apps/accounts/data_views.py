"""The pages on which people take their data along, and leave."""

from __future__ import annotations

from uuid import UUID

from allauth.account.decorators import reauthentication_required
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts import erasures, exports
from apps.accounts.authentication import signed_in_user
from apps.accounts.data_of_apps import data_of_apps
from apps.accounts.models import Erasure, Export, User
from voiceclone.errors import told_on_page

ERASURE_SESSION_KEY = "erasure"


@require_safe
def data_page(request: HttpRequest) -> HttpResponse:
    """What is kept of the person, and the ways to have it all, or to have it all deleted."""
    user = signed_in_user(request)
    context = {"kept": _counts(user), "export": Export.objects.for_user(user).first()}
    return render(request, "accounts/data.html", context)


def _counts(user: User) -> list[tuple[str, int]]:
    tables = [table for data in data_of_apps() for table in data.tables(user)]
    counts = [(str(table.about), table.rows.count()) for table in tables]
    return [(about, count) for about, count in counts if count]


@require_POST
def start_export(request: HttpRequest) -> HttpResponse:
    with told_on_page(lambda message: messages.error(request, message)):
        exports.start_export(owner=signed_in_user(request))
    return redirect("accounts:data")


@require_POST
def delete_export(request: HttpRequest) -> HttpResponse:
    export = Export.objects.for_user(request.user).first()
    if export is not None:  # It may have gone by itself since the page was read.
        exports.delete_export(export=export)
    messages.success(request, _("The file is deleted."))
    return redirect("accounts:data")


@require_http_methods(["GET", "POST"])
@reauthentication_required  # type: ignore[untyped-decorator] # allauth ships no types
@never_cache
def delete_account(request: HttpRequest) -> HttpResponse:
    """Ask first, then delete all of it when the cooling off is over; who asks has just proved who they are."""
    user = signed_in_user(request)
    if request.method != "POST":
        context = {"kept": _counts(user), "cooling_off_days": settings.ERASURE_COOLING_OFF_DAYS}
        return render(request, "accounts/delete_account.html", context)
    with told_on_page(lambda message: messages.error(request, message)):
        erasure = erasures.request_erasure(user=user)
        link = request.build_absolute_uri(reverse("accounts:erasure", args=[erasure.pk]))
        erasures.tell_of_request(erasure=erasure, link=link)
        logout(request)
        return let_cancel(request, erasure)
    return redirect("accounts:data")


def let_cancel(request: HttpRequest, erasure: Erasure) -> HttpResponse:
    """Lead to the page of an erasure, where this browser can take it back: its user has just proved who they are."""
    request.session.cycle_key()
    request.session[ERASURE_SESSION_KEY] = str(erasure.pk)
    return redirect("accounts:erasure", erasure.pk)


@login_not_required
@require_safe
@never_cache
def erasure_page(request: HttpRequest, erasure_pk: UUID) -> HttpResponse:
    """How far an erasure has come, for who knows its address. Nothing on it tells whose it is."""
    erasure = get_object_or_404(Erasure, pk=erasure_pk)
    context = {"erasure": erasure, "can_cancel": _can_cancel(request, erasure)}
    return render(request, "accounts/erasure.html", context)


@login_not_required
@require_safe
@never_cache
def receipt(_request: HttpRequest, erasure_pk: UUID) -> HttpResponse:
    """The receipt as a text to keep."""
    erasure = get_object_or_404(Erasure, pk=erasure_pk)
    response = render(_request, "accounts/receipt.txt", {"erasure": erasure}, "text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="receipt-{erasure.pk.hex[:8]}.txt"'
    return response


@login_not_required
@require_POST
def cancel_erasure(request: HttpRequest, erasure_pk: UUID) -> HttpResponse:
    """Take the request back; only a browser can that was let by `let_cancel`."""
    erasure = get_object_or_404(Erasure, pk=erasure_pk)
    if not _can_cancel(request, erasure):
        return redirect("account_login")
    with told_on_page(lambda message: messages.error(request, message)):
        erasures.cancel_erasure(erasure=erasure)
        del request.session[ERASURE_SESSION_KEY]
        messages.success(request, _("Your account is kept, and all that belongs to it. Sign in to go on."))
        return redirect("account_login")
    return redirect("accounts:erasure", erasure.pk)


def _can_cancel(request: HttpRequest, erasure: Erasure) -> bool:
    is_let = request.session.get(ERASURE_SESSION_KEY) == str(erasure.pk)
    return is_let and erasure.state == Erasure.State.WAITING
