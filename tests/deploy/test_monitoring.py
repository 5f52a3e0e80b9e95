"""The dashboard and the alert rules ask only for metrics, labels and values that exist."""

from __future__ import annotations

import json
import re
from itertools import product
from typing import TYPE_CHECKING, get_args

import pytest
import yaml
from django.conf import settings
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from apps.background.queue import TASK_QUEUES, WEBHOOKS
from apps.conversations.models import Turn
from apps.speech.base import PROVIDER_MESSAGES, Stage
from apps.speech.metrics import ACCOUNT_REFUSALS
from apps.speech.providers.breakers import State

if TYPE_CHECKING:
    from django.test import Client

MONITORING = settings.BASE_DIR / "deploy" / "monitoring"
# Words of PromQL and of Grafana, and labels that Prometheus adds.
WORDS = {"sum", "max", "by", "rate", "increase", "histogram_quantile", "and", "up", "m", "h"}
LABELS_OF_PROMETHEUS = {"job", "instance", "le"}
VALUES = {
    "end": {status.value for status in Turn.Status},
    "state": {state.value for state in State},
    "queue": {*TASK_QUEUES, WEBHOOKS},
    "code": {*PROVIDER_MESSAGES},
    "stage": {"heard", "first_word", "first_audio", "total"},
    "job": {"voiceclone", "$job"},
}


def dashboard() -> list[str]:
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def alerts() -> list[str]:
    groups = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


@pytest.mark.usefixtures("remote_engines")
def test_metrics_labels_and_values_exist(admin_client: Client) -> None:
    metrics, labels = existing(admin_client.get("/metrics").content.decode())
    expressions = dashboard() + alerts()
    assert len(expressions) > 25
    for expression in expressions:
        for matchers in re.findall(r"\{(.*?)\}", expression):
            check_matchers(matchers, labels)
        for names in re.findall(r"\bby \(([^)]*)\)", expression):
            assert {name.strip() for name in names.split(",")} <= labels, expression
        bare = re.sub(r"\{.*?\}|\bby \([^)]*\)|\[[^\]]*\]|[\d.]+", " ", expression)
        assert set(re.findall(r"[a-z_]+", bare)) <= metrics | WORDS, expression


@pytest.mark.usefixtures("remote_engines")
def test_the_first_refusal_of_the_account_is_an_increase(admin_client: Client) -> None:
    [expression] = [each for each in alerts() if "provider_errors" in each]
    [[prefix, choices]] = re.findall(r'code=~\s*"(\w+)\(([^)]*)\)"', expression)
    assert {prefix + choice for choice in choices.split("|")} == {*ACCOUNT_REFUSALS}
    families = text_string_to_metric_families(admin_client.get("/metrics").content.decode())
    counted = {
        (sample.labels["stage"], sample.labels["code"])
        for family in families
        for sample in family.samples
        if sample.name == "voiceclone_provider_errors_total"
    }
    assert {*product(get_args(Stage), ACCOUNT_REFUSALS)} <= counted


def test_texts_name_only_labels_that_are_left() -> None:
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    groups = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    shown = [(target["expr"], target["legendFormat"]) for panel in panels for target in panel["targets"]]
    shown += [(rule["expr"], " ".join(rule["annotations"].values())) for group in groups for rule in group["rules"]]
    for expression, text in shown:
        kept = {name for names in re.findall(r"\bby \(([^)]*)\)", expression) for name in re.split(r",\s*", names)}
        assert set(re.findall(r"\{\{ *(?:\$labels\.)?(\w+) *\}\}", text)) <= (kept or {"job", "instance"}), text


def existing(scraped: str) -> tuple[set[str], set[str]]:
    """Return the names of all metrics, as they are asked for, and of their labels. Some have had no value yet."""
    ours = [metric for name, metric in REGISTRY._names_to_collectors.items() if name.startswith("voiceclone_")]
    labels = {label for metric in ours for label in metric._labelnames}  # type: ignore[attr-defined]
    metrics = set(REGISTRY._names_to_collectors)
    for family in text_string_to_metric_families(scraped):
        metrics |= {family.name, *(sample.name for sample in family.samples)}
        labels |= {label for sample in family.samples for label in sample.labels}
    return metrics, labels | LABELS_OF_PROMETHEUS


def check_matchers(matchers: str, labels: set[str]) -> None:
    """Check the names and values of `name="value"` and `name=~"(regular expression)"`."""
    matcher = r'(\w+)(=~?)\s*"([^"]*)"'
    assert re.fullmatch(rf"{matcher}(,{matcher})*", matchers), matchers
    for name, kind, value in re.findall(matcher, matchers):
        assert name in labels, matchers
        prefix, _, choices = value.partition("(") if "(" in value else ("", "", value)
        for choice in choices.rstrip(")").split("|") if kind == "=~" else [value]:
            assert prefix + choice in VALUES[name], matchers


def test_panels_do_not_overlap_and_say_what_they_show() -> None:
    panels = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["title"]
        assert place["x"] + place["w"] <= 24
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_every_alert_says_how_urgent_it_is_and_what_to_do() -> None:
    groups = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    for rule in groups[0]["rules"]:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"].keys() == {"summary", "description"}
