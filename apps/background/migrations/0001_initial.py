from django.db import migrations

TABLE = "django_tasks_database_dbtaskresult"
# For what the worker looks for every minute, and for the admin's list. The table itself belongs to django-tasks-db.
INDEXES = {
    "background_by_state": "status, finished_at",
    "background_by_time": "enqueued_at, id",
}


class Migration(migrations.Migration):
    initial = True

    dependencies = [("django_tasks_database", "0021_conditional_partial_index_ordering")]

    operations = [
        migrations.RunSQL(f"CREATE INDEX {name} ON {TABLE} ({columns})", f"DROP INDEX {name}")
        for name, columns in INDEXES.items()
    ]
