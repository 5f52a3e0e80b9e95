"""Filters for form fields."""

from __future__ import annotations

from django import template
from django.forms import BoundField

register = template.Library()


@register.filter
def without_placeholder(field: BoundField) -> BoundField:
    """Return `field` without its placeholder, in which django-allauth repeats the label."""
    field.field.widget.attrs.pop("placeholder", None)
    return field
