"""The pages that belong to no app."""

from __future__ import annotations

from urllib.parse import urlsplit

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
from apps.speech import availability


@login_not_required
def home(request: HttpRequest) -> HttpResponse:
    """What this is, or for those who are signed in, the page to talk on."""
    if request.user.is_authenticated:
        return redirect("conversations:talk")
    return render(request, "site/home.html", {"services": _services()})


def _services() -> list[str]:
    """Return who gets what people say, besides this site."""
    engines = {engine for stage in ("hear", "think", "speak") for engine in availability.engines_of(stage)}
    addresses = {"OpenAI": settings.OPENAI_BASE_URL, "ElevenLabs": settings.ELEVENLABS_BASE_URL}
    names = [urlsplit(address or "").hostname or name for name, address in addresses.items() if name.lower() in engines]
    return list(dict.fromkeys(names))


@login_not_required
def favicon(_request: HttpRequest) -> HttpResponse:
    """For pages that are not ours, such as the admin's: browsers ask for it by this name."""
    return redirect(static("img/favicon.svg"), permanent=True)


@login_not_required
def api_docs(request: HttpRequest) -> HttpResponse:
    """The description of the API, as a page."""
    return render(request, "site/api_docs.html")


@method_decorator(login_not_required, name="dispatch")
class VerifyPage(View):
    """Choose a file, and read what it says of itself. Needs no account and no script."""

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
