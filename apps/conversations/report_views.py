"""The page on which anybody reports abuse."""

from __future__ import annotations

from allauth.account.adapter import get_adapter
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views import View

from apps.conversations.reports import MAX_FILE_BYTES, report_abuse
from apps.core.errors import UserError
from apps.core.pages import with_error_status

MEGABYTE = 1_000_000


class ReportForm(forms.Form):
    """A report of abuse, which anybody may send."""

    text = forms.CharField(
        label=gettext_lazy("What happened?"),
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=gettext_lazy("Say whose voice it is, what it is used for, and how you know."),
    )
    about = forms.CharField(
        label=gettext_lazy("Where is it?"),
        max_length=500,
        required=False,
        help_text=gettext_lazy("A web address, or the id of the turn, if you know it."),
    )
    file = forms.FileField(
        label=gettext_lazy("The recording"),
        required=False,
        allow_empty_file=False,
        help_text=gettext_lazy("At most 20 MB. Send the original file: a modified one is hard to trace."),
    )
    contact = forms.EmailField(
        label=gettext_lazy("Your email address"),
        required=False,
        help_text=gettext_lazy("Only if you want an answer."),
    )

    def clean_file(self) -> UploadedFile[bytes] | None:
        file: UploadedFile[bytes] | None = self.cleaned_data["file"]
        if file is not None and (file.size or 0) > MAX_FILE_BYTES:
            text = _("This file is larger than %(megabytes)d MB. Send a shorter part of it.")
            raise ValidationError(text % {"megabytes": MAX_FILE_BYTES // MEGABYTE})
        return file


@method_decorator(login_not_required, "dispatch")
class Report(View):
    """Works without an account and without JavaScript."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request, ReportForm(initial={"about": request.GET.get("about", "")[:500]}))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = ReportForm(request.POST, request.FILES)
        if not form.is_valid():
            return self._page(request, form, status=422)
        try:
            report = report_abuse(address=get_adapter().get_client_ip(request), **form.cleaned_data)
        except UserError as error:
            form.add_error(None, error.message)
            return with_error_status(self._page(request, form), error)
        text = _("Thank you. The operator has received your report. Its number is %(reference)s.")
        messages.success(request, text % {"reference": report.reference})
        return redirect("report")

    @staticmethod
    def _page(request: HttpRequest, form: ReportForm, status: int = 200) -> HttpResponse:
        return render(
            request,
            "conversations/report.html",
            {"form": form, "operator_email": settings.OPERATOR_EMAIL},
            status=status,
        )
