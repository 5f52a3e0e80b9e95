"""Failed calls of the providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apps.speech.base import PROVIDER_MESSAGES, ProviderError

if TYPE_CHECKING:
    from collections.abc import Callable

AT_ONCE = {"retry-after": "0"}


def error_of(call: Callable[..., object], *arguments: Any, **changes: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        call(*arguments, **changes)
    assert caught.value.code in PROVIDER_MESSAGES
    return caught.value
