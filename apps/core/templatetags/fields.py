"""How form fields are shown."""

from __future__ import annotations

from django import template
from django.forms import BoundField

register = template.Library()


@register.filter
def without_placeholder(field: BoundField) -> BoundField:
    """Return `field` without the text inside, in which django-allauth repeats the label until one types."""
    field.field.widget.attrs.pop("placeholder", None)
    return field
