"""The session engine (SESSION_ENGINE): Django's own in the database, with rows that name their user."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.utils.translation import gettext_lazy as _


class Session(AbstractBaseSession):
    """A session and the user who is signed in, so that one query finds all sessions of a user."""

    # No foreign key: a request that ends just after its account was deleted can still store its session.
    user_id = models.BigIntegerField(_("user"), null=True, editable=False, db_index=True)

    class Meta(AbstractBaseSession.Meta):
        pass

    @classmethod
    def get_session_store_class(cls) -> type[SessionStore]:
        return SessionStore


class SessionStore(DatabaseStore):
    """Stores sessions as rows of `Session`."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        user = data.get(SESSION_KEY)
        row = super().create_model_instance(data)
        return Session(row.session_key, row.session_data, row.expire_date, None if user is None else int(user))
