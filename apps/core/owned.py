"""Rows that belong to a user."""

from __future__ import annotations

from typing import Self, TypeVar

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models

Row = TypeVar("Row", bound=models.Model)


class OwnedQuerySet(models.QuerySet[Row]):
    """Rows that belong to a user; every query for a request goes through `for_user`."""

    def for_user(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """Return the rows that `user` owns; none for an anonymous user."""
        return self.filter(owner_id=user.pk) if user.is_authenticated else self.none()


def owner_is_like(word: str) -> models.Q:
    """Return the condition that the name or the address of a row's owner contains `word`.

    It holds the ids of these people. Beside a join or a subquery, databases do not use the indexes of other conditions,
    or read all rows in the order of the list.
    """
    people = get_user_model().objects.filter(models.Q(username__icontains=word) | models.Q(email__icontains=word))
    return models.Q(owner__in=list(people.values_list("pk", flat=True)))
