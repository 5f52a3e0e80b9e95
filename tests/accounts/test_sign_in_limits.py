"""Password guessing is stopped without locking out the owner of the account."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from apps.accounts import sign_in_limits
from apps.accounts.sign_in_limits import ACCOUNT, ADDRESS, ADDRESS_AND_ACCOUNT, KNOWN_BROWSER
from apps.core.rate_limits import Limit, wait_text
from tests.accounts.steps import (
    NEW_PASSWORD,
    code_of,
    confirm_identity,
    is_signed_in,
    link_in_mail,
    sign_in,
    switch_second_factor_on,
    wrong_code,
)

if TYPE_CHECKING:
    from pytest_django import Settings

    from apps.accounts.models import User
    from tests.client import Page

HOME, OFFICE, ATTACKER = "192.0.2.1", "192.0.2.2", "198.51.100.7"


@pytest.fixture(autouse=True)
def limits(settings: Settings) -> None:
    settings.LIMITS = True
    cache.clear()


@pytest.fixture
def small_totals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit an account and an address to twelve attempts instead of a hundred."""
    for total in (ACCOUNT, ADDRESS):
        monkeypatch.setattr(sign_in_limits, total.name.upper(), replace(total, attempts=12))


def attack_from_many_addresses() -> None:
    """Use up the attempts of strangers on Alice's account."""
    for number in range(4):
        guess(f"203.0.113.{number}", times=4)


def at(address: str) -> Client:
    """Return an unknown browser at `address`."""
    return Client(REMOTE_ADDR=address)


def guess(address: str, login: str = "alice", times: int = 20) -> list[Page]:
    return [sign_in(at(address), login, f"guess number {number}") for number in range(times)]


def test_twenty_wrong_passwords_stop_the_attacker_and_not_the_owner_elsewhere(alice: User) -> None:
    answers = guess(ATTACKER)
    assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 10
    assert sign_in(at(ATTACKER), "alice").status_code == 429
    assert sign_in(at(HOME), "alice").status_code == 302


def test_the_refusal_says_when_to_come_back(alice: User) -> None:
    refusal = guess(ATTACKER)[-1]
    assert 0 < int(refusal["Retry-After"]) <= ADDRESS_AND_ACCOUNT.seconds
    assert "15 minutes" in refusal.content.decode()


def test_the_owner_at_the_attackers_address_can_sign_in_with_a_known_browser(alice: User) -> None:
    home = at(ATTACKER)
    sign_in(home, "alice")
    home.post(reverse("account_logout"))
    guess(ATTACKER)
    assert sign_in(home, "alice").status_code == 302


def test_the_owner_is_not_stopped_by_an_attack_from_many_addresses(alice: User, small_totals: None) -> None:
    home = at(HOME)
    sign_in(home, "alice")
    home.post(reverse("account_logout"))
    attack_from_many_addresses()
    assert sign_in(at("203.0.113.250"), "alice").status_code == 429
    assert sign_in(home, "alice").status_code == 302


def test_an_owner_who_is_stopped_on_a_new_device_can_reset_the_password(alice: User, small_totals: None) -> None:
    attack_from_many_addresses()
    office = at(OFFICE)
    assert sign_in(office, "alice").status_code == 429
    office.post(reverse("account_reset_password"), {"email": alice.email})
    form = office.get(link_in_mail("/reset/key/"), follow=True).request["PATH_INFO"]
    office.post(form, {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD})
    assert is_signed_in(office)
    office.post(reverse("account_logout"))
    assert sign_in(office, "alice", NEW_PASSWORD).status_code == 302


def test_a_known_browser_is_limited_too(alice: User) -> None:
    home = at(HOME)
    sign_in(home, "alice")
    home.post(reverse("account_logout"))
    statuses = [sign_in(home, "alice", "wrong").status_code for _ in range(KNOWN_BROWSER.attempts + 1)]
    assert statuses == [200] * KNOWN_BROWSER.attempts + [429]


def test_a_browser_is_known_for_its_own_account_alone(alice: User, bob: User) -> None:
    attacker = at(ATTACKER)
    sign_in(attacker, "bob")
    attacker.post(reverse("account_logout"))
    statuses = [sign_in(attacker, "alice", f"guess {number}").status_code for number in range(11)]
    assert statuses[-1] == 429
    forged = at(ATTACKER)
    forged.cookies[f"known_browser_{alice.pk}"] = attacker.cookies[f"known_browser_{bob.pk}"].value
    assert sign_in(forged, "alice", "guess").status_code == 429


def test_the_cookie_of_a_known_browser_is_for_this_site_and_not_for_scripts(client: Client, alice: User) -> None:
    sign_in(client, "alice")
    cookie = client.cookies[f"known_browser_{alice.pk}"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/accounts/")


def test_the_name_and_the_address_of_an_account_are_counted_together(alice: User) -> None:
    guess(ATTACKER, "alice", 5)
    guess(ATTACKER, "Alice@example.org", 5)
    assert sign_in(at(ATTACKER), "ALICE", "guess").status_code == 429


def test_limits_do_not_reveal_whether_an_account_exists(alice: User) -> None:
    there, not_there = guess(ATTACKER, "alice", 11), guess(HOME, "nobody", 11)
    assert [page.status_code for page in there] == [page.status_code for page in not_there]


def test_one_address_cannot_try_a_password_on_every_account(alice: User, small_totals: None) -> None:
    for number in range(12):
        sign_in(at(ATTACKER), f"person{number}", "Summer2026 password")
    assert sign_in(at(ATTACKER), "alice", "Summer2026 password").status_code == 429


def test_an_ipv6_network_counts_as_one_address(alice: User) -> None:
    for number in range(10):
        sign_in(at(f"2001:db8::{number}"), "alice", "guess")
    assert sign_in(at("2001:db8::ffff"), "alice", "guess").status_code == 429
    assert sign_in(at("2001:db8:0:1::1"), "alice", "guess").status_code == 200


def test_correct_passwords_do_not_count(alice: User) -> None:
    for _ in range(ADDRESS_AND_ACCOUNT.attempts + 5):
        assert sign_in(at(HOME), "alice").status_code == 302


def test_limits_can_be_switched_off(alice: User, settings: Settings) -> None:
    settings.LIMITS = False
    assert {page.status_code for page in guess(ATTACKER, times=12)} == {200}


def test_reauthentication_is_limited_too(alice: User) -> None:
    session = at(ATTACKER)
    session.force_login(alice)
    guesses = [session.post(reverse("account_reauthenticate"), {"password": "wrong"}) for _ in range(11)]
    assert guesses[-1].status_code == 429
    with pytest.raises(AssertionError):
        confirm_identity(session)


def test_codes_of_the_second_factor_are_limited(alice: User, settings: Settings) -> None:
    settings.ACCOUNT_RATE_LIMITS = {}
    session = at(HOME)
    sign_in(session, "alice")
    secret = switch_second_factor_on(session, alice)
    attacker = at(ATTACKER)
    sign_in(attacker, "alice")
    for _ in range(5):
        attacker.post(reverse("mfa_authenticate"), {"code": wrong_code(secret)})
    attacker.post(reverse("mfa_authenticate"), {"code": code_of(secret)})
    assert not is_signed_in(attacker)


def test_a_limit_resets_after_its_seconds() -> None:
    limit = Limit("test", 1, 1)
    assert [limit.take("x"), limit.take("x")] == [0, 1]
    assert limit.take("y") == 0
    time.sleep(1.1)
    assert limit.take("x") == 0


def test_an_attempt_that_is_given_back_can_be_taken_again() -> None:
    limit = Limit("test", 1, 60)
    limit.take("x")
    limit.give_back("x")
    limit.give_back("x")
    assert limit.take("x") == 0
    assert limit.take("x") > 50


def test_a_full_cache_that_drops_a_counter_begins_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    limit, add = Limit("test", 1, 60), cache.add
    with monkeypatch.context() as context:
        # Drop the counter, which begins with 0, at once.
        context.setattr(cache, "add", lambda key, value, *rest, **named: value == 0 or add(key, value, *rest, **named))
        assert limit.take("x") == 0
    assert limit.take("x") > 50


def test_the_time_to_wait_is_a_text() -> None:
    assert [wait_text(seconds) for seconds in (20, 60, 61)] == ["1 minute", "1 minute", "2 minutes"]
