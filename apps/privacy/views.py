"""The pages for exporting data and for deleting an account."""

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

from apps.accounts.authentication import forget_proof, has_proven, remember_proof, signed_in_user
from apps.accounts.models import User
from apps.core.links import absolute_url
from apps.core.pages import report_refusals_to
from apps.core.personal_data import all_personal_data
from apps.privacy import erasures, exports
from apps.privacy.models import Erasure, Export


@require_safe
def data_page(request: HttpRequest) -> HttpResponse:
    """Show the export of the person's data, and the way to delete the account."""
    user = signed_in_user(request)
    context = {"kept": _counts(user), "export": Export.objects.for_user(user).first()}
    return render(request, "privacy/data.html", context)


def _counts(user: User) -> list[tuple[str, int]]:
    tables = [table for data in all_personal_data() for table in data.tables(user)]
    counts = [(str(table.about), table.rows.count()) for table in tables]
    return [(about, count) for about, count in counts if count]


@require_POST
def start_export(request: HttpRequest) -> HttpResponse:
    with report_refusals_to(lambda message: messages.error(request, message)):
        exports.start_export(owner=signed_in_user(request))
    return redirect("privacy:data")


@require_POST
def delete_export(request: HttpRequest) -> HttpResponse:
    export = Export.objects.for_user(request.user).first()
    if export is not None:  # It may have expired since the page was loaded.
        exports.delete_export(export=export)
    messages.success(request, _("The file is deleted."))
    return redirect("privacy:data")


@require_http_methods(["GET", "POST"])
@reauthentication_required  # type: ignore[untyped-decorator] # allauth ships no types
@never_cache
def delete_account(request: HttpRequest) -> HttpResponse:
    """Ask for confirmation, then request the erasure. The person has just entered the password again."""
    user = signed_in_user(request)
    if request.method != "POST":
        context = {"kept": _counts(user), "cooling_off_days": settings.ERASURE_COOLING_OFF_DAYS}
        return render(request, "privacy/delete_account.html", context)
    with report_refusals_to(lambda message: messages.error(request, message)):
        erasure = erasures.request_erasure(user=user)
        link = absolute_url(request, reverse("privacy:erasure", args=[erasure.pk]))
        erasures.mail_confirmation(erasure=erasure, link=link)
        logout(request)
        remember_proof(request, user)
        return redirect("privacy:erasure", erasure.pk)
    return redirect("privacy:data")


@login_not_required
@require_safe
@never_cache
def erasure_page(request: HttpRequest, erasure_pk: UUID) -> HttpResponse:
    """Show the progress of an erasure to anybody who knows the address. The page does not identify the person."""
    erasure = get_object_or_404(Erasure, pk=erasure_pk)
    context = {"erasure": erasure, "can_cancel": _can_cancel(request, erasure)}
    return render(request, "privacy/erasure.html", context)


@login_not_required
@require_safe
@never_cache
def receipt(request: HttpRequest, erasure_pk: UUID) -> HttpResponse:
    """Download the receipt as a text file."""
    erasure = get_object_or_404(Erasure, pk=erasure_pk)
    response = render(request, "privacy/receipt.txt", {"erasure": erasure}, "text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="receipt-{erasure.pk.hex[:8]}.txt"'
    return response


@login_not_required
@require_POST
def cancel_erasure(request: HttpRequest, erasure_pk: UUID) -> HttpResponse:
    """Cancel the erasure, if the user of this browser has proven to own the account."""
    erasure = get_object_or_404(Erasure, pk=erasure_pk)
    if not _can_cancel(request, erasure):
        return redirect("account_login")
    with report_refusals_to(lambda message: messages.error(request, message)):
        erasures.cancel_erasure(erasure=erasure)
        forget_proof(request)
        messages.success(request, _("Your account and all its data are kept. Sign in to continue."))
        return redirect("account_login")
    return redirect("privacy:erasure", erasure.pk)


def _can_cancel(request: HttpRequest, erasure: Erasure) -> bool:
    return has_proven(request, erasure.user) and erasure.state == Erasure.State.WAITING
