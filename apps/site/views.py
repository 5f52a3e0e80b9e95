"""The icon, the rules for search engines, the API documentation and the page that checks sound files."""

from __future__ import annotations

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.utils.decorators import method_decorator
from django.views import View

from apps.core.errors import UserError
from apps.core.pages import with_error_status
from apps.site.forms import VerifyForm
from apps.site.verification import Answer, verify

NOT_FOR_SEARCH_ENGINES = ("/accounts/", "/admin/", "/api/", "/history/", "/report/", "/talk/", "/v1/", "/voices/")


@login_not_required
def favicon(_request: HttpRequest) -> HttpResponse:
    """Redirect to the icon. Browsers request this address on pages that do not name one, such as the admin's."""
    return redirect(static("img/favicon.svg"), permanent=True)


@login_not_required
def robots(_request: HttpRequest) -> HttpResponse:
    """Tell search engines which pages are for everybody."""
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in NOT_FOR_SEARCH_ENGINES)]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")


@login_not_required
def api_docs(request: HttpRequest) -> HttpResponse:
    """Show the documentation of the API."""
    return render(request, "site/api_docs.html")


@method_decorator(login_not_required, name="dispatch")
class VerifyPage(View):
    """Checks the origin of a sound file. Works without an account and without JavaScript."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request, VerifyForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        form = VerifyForm(request.POST, request.FILES)
        if not form.is_valid():
            return self._page(request, form, status=422)
        upload = form.cleaned_data["file"]
        try:
            answer = verify(upload=upload, address=get_adapter().get_client_ip(request))
        except UserError as error:
            form.add_error("file", error.message)
            return with_error_status(self._page(request, form), error)
        return self._page(request, VerifyForm(), answer, upload.name)

    @staticmethod
    def _page(
        request: HttpRequest, form: VerifyForm, answer: Answer | None = None, name: str = "", *, status: int = 200
    ) -> HttpResponse:
        context = {"form": form, "answer": answer, "name": name, "megabytes": settings.MAX_UPLOAD_BYTES // 1_000_000}
        return render(request, "site/verify.html", context, status=status)
