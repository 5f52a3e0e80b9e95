"""Exports, which are personal data themselves."""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib.auth.models import AbstractUser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.core.personal_data import Erased, Kept, PersonalData, Retained, Table, delete_folder, erase_rows, erase_tasks
from apps.privacy.models import Export


class PrivacyData(PersonalData):
    """Exports, with their files."""

    def tables(self, owner: AbstractUser) -> list[Table]:
        return [Table("exports", _("Exports such as this one"), Export.objects.for_user(owner), without=("file",))]

    def erase(self, owner: AbstractUser) -> Iterator[Erased | Retained]:
        exports = Export.objects.for_user(owner)
        yield from erase_tasks(_("Background tasks"), exports.values_list("pk", flat=True))
        yield from erase_rows(_("Exports"), exports, files=["file"])
        delete_folder(f"exports/{owner.pk}")

    def schedule(self) -> list[Kept]:
        return [
            Kept(
                gettext_lazy("The export of your data, if you requested one"),
                gettext_lazy("for you to download"),
                gettext_lazy("one day"),
            ),
        ]
