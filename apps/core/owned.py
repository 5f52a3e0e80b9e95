"""Rows that belong to a user."""

from __future__ import annotations

from typing import Self, TypeVar

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models

Row = TypeVar("Row", bound=models.Model)


class OwnedQuerySet(models.QuerySet[Row]):
    """Rows that belong to a user; every query for a request goes through `for_user`."""

    def for_user(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """Return the rows that `user` owns; none for an anonymous user."""
        return self.filter(owner_id=user.pk) if user.is_authenticated else self.none()
