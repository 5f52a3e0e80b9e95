"""Exports, which are personal data themselves, and the records of who read what the person said."""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib.auth.models import AbstractUser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from apps.core.personal_data import Erased, Kept, PersonalData, Retained, Table, delete_folder, erase_rows, erase_tasks
from apps.privacy.accesses import ACCESS_RETENTION
from apps.privacy.models import ContentAccess, Export


class PrivacyData(PersonalData):
    """Exports, with their files, and the accesses of staff to private content."""

    def tables(self, owner: AbstractUser) -> list[Table]:
        accesses = ContentAccess.objects.for_user(owner).select_related("reader")
        return [
            Table("exports", _("Exports such as this one"), Export.objects.for_user(owner), without=("file",)),
            Table(
                "content-accesses",
                _("Who of the operators of this site read or listened to what you said, wrote and recorded"),
                accesses,
                without=("reader",),
                properties=("reader_name",),
            ),
        ]

    def erase(self, owner: AbstractUser) -> Iterator[Erased | Retained]:
        exports = Export.objects.for_user(owner)
        yield from erase_tasks(_("Background tasks"), exports.values_list("pk", flat=True))
        yield from erase_rows(_("Exports"), exports, files=["file"])
        yield from erase_rows(_("Records of access to your content"), ContentAccess.objects.for_user(owner))
        # Whose content this person read may still know that it was read.
        ContentAccess.objects.filter(reader_id=owner.pk).update(reader=None)
        delete_folder(f"exports/{owner.pk}")

    def schedule(self) -> list[Kept]:
        return [
            Kept(
                gettext_lazy("The export of your data, if you requested one"),
                gettext_lazy("for you to download"),
                gettext_lazy("one day"),
            ),
            Kept(
                gettext_lazy("Who of the operators of this site read or listened to what you said, and when"),
                gettext_lazy("so that you can see it in the export of your data"),
                ngettext_lazy("%(days)d day", "%(days)d days", ACCESS_RETENTION.days) % {"days": ACCESS_RETENTION.days},
            ),
        ]
