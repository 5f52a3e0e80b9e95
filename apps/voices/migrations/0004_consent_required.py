"""Every voice has a consent, and no consent changes: the database itself sees to both.

A later migration that changes the table of consents on SQLite makes that table anew, and has to make the trigger anew
behind it: `tests/voices/test_consent_record.py` says so when it is missing.
"""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

FIXED = ["id", "method", "statement_version", "language", "purpose", "seconds", "sha256", "word_error", "given_at"]
FIXED += ["valid_until", "retain_until"]
# What may be taken out, when an account is erased, and what then stands there; what may be filled in, once.
ERASED = {"owner_id": "NULL", "statement": "''", "transcript": "''", "clip": "''"}

FUNCTION = """
CREATE FUNCTION voices_consent_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'a consent can not be changed' USING ERRCODE = 'integrity_constraint_violation'; END $$
"""
TRIGGERS = {
    "sqlite": [
        """
        CREATE TRIGGER voices_consent_is_fixed BEFORE UPDATE ON voices_consent WHEN NOT ({allowed})
        BEGIN SELECT RAISE(ABORT, 'a consent can not be changed'); END
        """
    ],
    "postgresql": [
        FUNCTION,
        """
        CREATE TRIGGER voices_consent_is_fixed BEFORE UPDATE ON voices_consent FOR EACH ROW WHEN (NOT ({allowed}))
        EXECUTE FUNCTION voices_consent_refuse()
        """,
    ],
}
NO_TRIGGERS = {
    "sqlite": ["DROP TRIGGER voices_consent_is_fixed"],
    "postgresql": ["DROP TRIGGER voices_consent_is_fixed ON voices_consent", "DROP FUNCTION voices_consent_refuse()"],
}


def allowed(same: str) -> str:
    """Return the condition under which a row may be changed; `same` compares values of which any may be NULL."""
    conditions = [f"NEW.{name} {same} OLD.{name}" for name in FIXED]
    conditions += [f"(NEW.{name} {same} OLD.{name} OR NEW.{name} {same} {value})" for name, value in ERASED.items()]
    conditions += [f"(NEW.withdrawn_at {same} OLD.withdrawn_at OR OLD.withdrawn_at IS NULL)"]
    return " AND ".join(conditions)


def make_triggers(_apps: Any, schema_editor: Any) -> None:
    vendor = schema_editor.connection.vendor
    condition = allowed({"sqlite": "IS", "postgresql": "IS NOT DISTINCT FROM"}[vendor])
    for statement in TRIGGERS[vendor]:
        schema_editor.execute(statement.replace("{allowed}", condition))


def drop_triggers(_apps: Any, schema_editor: Any) -> None:
    for statement in NO_TRIGGERS[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("voices", "0003_consents_of_earlier_voices")]
    operations = [
        migrations.AlterField(
            model_name="voiceprofile",
            name="consent",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="voices",
                to="voices.consent",
                verbose_name="consent",
            ),
        ),
        migrations.RunPython(make_triggers, drop_triggers),
    ]
