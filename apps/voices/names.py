"""Names that are suggested for new voices."""

from __future__ import annotations

from itertools import count

from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.voices.models import VoiceProfile

MAX_CHARACTERS = 50  # Of 60 that a name may have: a number may follow.


def suggested_name(*, owner: User) -> str:
    """Return a name for the owner's next voice: their full name, or else "My voice", with a number if it is taken."""
    name = owner.get_full_name()[:MAX_CHARACTERS] or _("My voice")
    taken = set(VoiceProfile.objects.for_user(owner).values_list("name", flat=True))
    if name not in taken:
        return name
    return next(f"{name} {number}" for number in count(2) if f"{name} {number}" not in taken)
