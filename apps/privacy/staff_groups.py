"""The groups of staff that a site begins with: those who see metadata, and those who also read and hear content."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

# Not the second factors, sessions and permissions of people.
APPS = ["accounts", "voices", "conversations", "webhooks", "usage", "privacy", "django_tasks_database"]
SUPPORT, REVIEWERS = "Support (metadata)", "Content reviewers"
SEES_ALL = Q(content_type__app_label__in=APPS, codename__startswith="view_")
REVIEWS = Q(content_type__app_label="privacy", codename="read_content") | Q(
    content_type__app_label="voices", codename="change_voiceprofile"
)
GROUPS = {SUPPORT: SEES_ALL, REVIEWERS: SEES_ALL | REVIEWS}


def make_groups() -> dict[str, list[str]]:
    """Make the groups, or give them their permissions again. Return the permissions of each.

    Reviewers may also suspend voices, and mark reports of abuse as handled.
    """
    made = {}
    for name, condition in GROUPS.items():
        permissions = Permission.objects.filter(condition).select_related("content_type")
        group, _is_new = Group.objects.get_or_create(name=name)
        group.permissions.add(*permissions)
        made[name] = [f"{each.content_type.app_label}.{each.codename}" for each in permissions]
    return made
