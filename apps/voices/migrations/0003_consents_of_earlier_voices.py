"""Voices from before there were consents are kept, and are silent until their speaker consents."""

from typing import Any

from django.db import migrations
from django.utils import timezone


def give_each_owner_a_consent_that_is_none(apps: Any, _schema_editor: Any) -> None:
    voices = apps.get_model("voices", "VoiceProfile")._base_manager.filter(consent=None)
    now = timezone.now()
    for owner_id in set(voices.values_list("owner_id", flat=True)):
        consent = apps.get_model("voices", "Consent")._base_manager.create(
            owner_id=owner_id, method="none", given_at=now, valid_until=now, retain_until=now
        )
        voices.filter(owner_id=owner_id).update(consent=consent)


class Migration(migrations.Migration):
    dependencies = [("voices", "0002_consents")]
    operations = [
        migrations.RunPython(give_each_owner_a_consent_that_is_none, migrations.RunPython.noop),
    ]
