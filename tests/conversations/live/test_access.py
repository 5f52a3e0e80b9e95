"""Who may hold a live conversation, and for how long."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from django.conf import settings as site_settings
from django.test import Client
from openai import AsyncOpenAI
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from apps.accounts.models import ApiToken, Scope, User
from apps.accounts.services import create_api_token, deactivate, revoke_api_token
from apps.conversations.live.access import Caller, still_valid
from apps.conversations.models import Conversation, Turn
from apps.voices.models import VoiceProfile
from tests.client import wait_until
from tests.conftest import Server
from tests.conversations.live.client import TEXT_ONLY, checked, hold, live
from tests.conversations.live.conftest import DEADLINES, in_database
from tests.conversations.live.test_push_to_talk import messages_of
from tests.factories import make_turn, make_voice
from tests.fakes.provider import FakeProvider


def socket_url(server: Server, query: str = "model=gpt-realtime") -> str:
    return f"ws{server.url.removeprefix('http')}/v1/realtime?{query}"


async def refusal(url: str, token: str, **query: str) -> tuple[str, int]:
    """Return the code of the error event that a session begins with, and how it is closed."""
    async with live(url, token, None, **query) as client:
        error = client.events[-1]["error"]
        with pytest.raises(ConnectionClosed) as closed:
            await client.next_event()
        assert closed.value.rcvd is not None
        return error["code"], closed.value.rcvd.code


class TestByToken:
    @pytest.mark.parametrize("key", ["vc_wrong", ""])
    def test_a_wrong_key_is_refused_at_the_handshake(self, server: Server, key: str) -> None:
        async def talk() -> None:
            with pytest.raises(InvalidStatus) as refused:
                async with AsyncOpenAI(api_key=key or " ", base_url=f"{server.url}/v1") as openai:
                    await openai.realtime.connect(model="gpt-realtime").enter()
            assert refused.value.response.status_code == 401
            assert json.loads(refused.value.response.body or b"")["error"]["code"] == "invalid_api_key"

        hold(server, talk())

    def test_a_token_needs_the_scope_talk(self, server: Server, alice: User) -> None:
        token = create_api_token(owner=alice, name="reader", scopes=[Scope.READ])

        async def talk() -> None:
            with pytest.raises(InvalidStatus) as refused:
                async with connect(socket_url(server), additional_headers={"Authorization": f"Bearer {token}"}):
                    pass
            assert refused.value.response.status_code == 403

        hold(server, talk())

    def test_another_address_has_no_socket(self, server: Server, alice_token: str) -> None:
        async def talk() -> None:
            with pytest.raises(InvalidStatus) as refused:
                async with connect(socket_url(server).replace("realtime", "other", 1)):
                    pass
            assert refused.value.response.status_code == 404

        hold(server, talk())

    def test_a_person_can_open_only_so_many_sockets(
        self,
        server: Server,
        alice_token: str,
        bob_token: str,
        monkeypatch: pytest.MonkeyPatch,
        voice: VoiceProfile,
        bob: User,
    ) -> None:
        make_voice(bob, "voice-of-bob")
        monkeypatch.setattr("apps.conversations.live.socket.MAX_SOCKETS_OF_ONE", 2)
        protocols = ["realtime", f"openai-insecure-api-key.{alice_token}"]

        async def talk() -> None:
            async with live(server.url, alice_token), live(server.url, bob_token):
                async with live(server.url, alice_token):
                    with pytest.raises(InvalidStatus) as refused:
                        async with connect(
                            socket_url(server), additional_headers={"Authorization": f"Bearer {alice_token}"}
                        ):
                            pass
                    assert refused.value.response.status_code == 429
                    async with connect(socket_url(server), subprotocols=protocols) as page:  # type: ignore[arg-type]
                        assert json.loads(await page.recv())["error"]["code"] == "too_many_sessions"
                        with pytest.raises(ConnectionClosed) as closed:
                            await page.recv()
                        assert closed.value.rcvd is not None
                        assert closed.value.rcvd.code == 1013
                async with live(server.url, alice_token):
                    pass

        hold(server, talk())

    @pytest.mark.parametrize("is_asking", [False, True], ids=["idle", "asking"])
    def test_a_revoked_token_ends_the_session(
        self, server: Server, alice: User, alice_token: str, *, is_asking: bool
    ) -> None:
        async def talk() -> None:
            async with live(server.url, alice_token, TEXT_ONLY) as client:
                await client.ask()
                await in_database(lambda: revoke_api_token(token=ApiToken.objects.get()))
                if is_asking:
                    await client.begin("More?")
                with pytest.raises(ConnectionClosed) as closed:
                    await client.until("nothing", seconds=5)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1008

        hold(server, talk())
        assert Turn.objects.count() == 1

    def test_a_blocked_account_ends_its_silent_sessions_with_two_queries_for_all(
        self, server: Server, alice: User, alice_token: str, bob_token: str, voice: VoiceProfile, bob: User
    ) -> None:
        make_voice(bob, "voice-of-bob")

        async def talk() -> None:
            async with (
                live(server.url, alice_token, None) as first,
                live(server.url, alice_token, None) as second,
                live(server.url, bob_token, None) as other,
            ):
                await in_database(lambda: deactivate(users=[alice], by=bob))
                for client in (first, second):
                    with pytest.raises(ConnectionClosed) as closed:
                        await client.until("nothing", seconds=DEADLINES.check * 4)
                    assert closed.value.rcvd is not None
                    assert closed.value.rcvd.code == 1008
                await other.send("input_audio_buffer.clear")
                await other.until("input_audio_buffer.cleared")

        hold(server, talk())

    def test_the_sockets_of_a_process_take_two_queries_together(
        self, alice: User, bob: User, alice_token: str, bob_token: str, django_assert_num_queries: Any
    ) -> None:
        tokens = list(ApiToken.objects.select_related("owner"))
        callers = [Caller(token.owner, token_pk=token.pk) for token in tokens]
        callers += [Caller(user, session_key=signed_in(user)) for user in (alice, bob)]
        with django_assert_num_queries(2):
            assert still_valid(callers) == set(callers)
        deactivate(users=[alice], by=bob)
        assert {caller.user for caller in still_valid(callers)} == {bob}
        assert len(still_valid(callers)) == 2


def signed_in(user: User) -> str:
    client = Client()
    client.force_login(user)
    return str(client.session.session_key)


class TestBrowsers:
    def test_the_key_comes_as_a_subprotocol_and_is_not_sent_back(
        self, server: Server, alice_token: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        protocols: list[Any] = ["realtime", f"openai-insecure-api-key.{alice_token}"]

        async def talk() -> None:
            async with connect(socket_url(server), subprotocols=protocols, origin="https://elsewhere.example") as page:  # type: ignore[arg-type]
                assert page.subprotocol == "realtime"
                assert alice_token not in str(page.response and page.response.headers)
                raw = await page.recv(decode=False)
                checked(raw)
                assert json.loads(raw)["type"] == "session.created"

        hold(server, talk())
        assert "voice=" not in caplog.text

    def test_a_wrong_key_is_told_in_an_event(self, server: Server) -> None:
        protocols: list[Any] = ["realtime", "openai-insecure-api-key.wrong"]

        async def talk() -> None:
            async with connect(socket_url(server), subprotocols=protocols) as page:
                assert json.loads(await page.recv())["error"]["code"] == "authentication_failed"
                with pytest.raises(ConnectionClosed) as closed:
                    await page.recv()
                assert closed.value.rcvd is not None
                assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "authentication_failed")

        hold(server, talk())

    @pytest.mark.parametrize("origin", ["own", "https://elsewhere.example", None])
    def test_a_session_is_for_pages_of_this_site(
        self, server: Server, alice: User, voice: VoiceProfile, origin: str | None
    ) -> None:
        client = Client()
        client.force_login(alice)
        cookie = f"{site_settings.SESSION_COOKIE_NAME}={client.cookies[site_settings.SESSION_COOKIE_NAME].value}"
        given: Any = server.url if origin == "own" else origin

        async def talk() -> str:
            url = socket_url(server, "voice=Jane")
            try:
                async with connect(url, additional_headers={"Cookie": cookie}, origin=given) as page:
                    event = json.loads(await page.recv())
                    return str(event["type"] if event["type"] != "error" else event["error"]["code"])
            except InvalidStatus as error:
                return str(error.response.status_code)

        expected = {"own": "session.created", None: "403"}.get(origin, "origin_not_allowed")
        assert asyncio.run(talk()) == expected

    def test_signing_out_ends_the_session(self, server: Server, alice: User) -> None:
        client = Client()
        client.force_login(alice)
        cookie = f"{site_settings.SESSION_COOKIE_NAME}={client.cookies[site_settings.SESSION_COOKIE_NAME].value}"

        async def talk() -> None:
            origin: Any = server.url
            async with connect(socket_url(server), additional_headers={"Cookie": cookie}, origin=origin) as page:
                await page.recv()
                await in_database(client.logout)
                assert json.loads(await page.recv())["error"]["code"] == "authentication_failed"
                with pytest.raises(ConnectionClosed):
                    await page.recv()

        hold(server, talk())


class TestWhatIsTheirs:
    @pytest.mark.parametrize("query", [{"voice": "Nobody"}, {"voice": "bob"}, {"conversation": "bob"}])
    def test_others_voices_and_conversations_do_not_exist(
        self, server: Server, provider: FakeProvider, alice_token: str, bob: User, query: dict[str, str]
    ) -> None:
        voice = make_voice(bob, provider.add_voice("Bob"), name="Bob")
        theirs = {"voice": str(voice.pk), "conversation": str(Conversation.objects.create(owner=bob, voice=voice).pk)}
        asked = {name: theirs[name] if value == "bob" else value for name, value in query.items()}
        (name,) = query
        assert asyncio.run(refusal(server.url, alice_token, **asked)) == (f"{name}_not_found", 1008)

    def test_a_wrong_conversation_is_refused(self, server: Server, alice_token: str) -> None:
        code, _close = asyncio.run(refusal(server.url, alice_token, conversation="no-uuid"))
        assert code == "conversation_not_found"

    def test_a_conversation_goes_on(
        self, server: Server, provider: FakeProvider, alice_token: str, conversation: Conversation
    ) -> None:
        make_turn(conversation, transcript="I am Alice.", reply="Hello Alice.")

        async def talk() -> None:
            async with live(server.url, alice_token, TEXT_ONLY, conversation=str(conversation.pk)) as client:
                response = await client.ask("Who am I?")
                assert response["conversation_id"] == str(conversation.pk)
                await client.ask("And now?")

        hold(server, talk())
        contents = [message["content"] for message in messages_of(provider)]
        assert contents == ["I am Alice.", "Hello Alice.", "Who am I?", provider.behaviour.reply, "And now?"]
        assert Conversation.objects.count() == 1

    def test_a_session_is_one_conversation_with_the_named_voice(
        self, server: Server, provider: FakeProvider, alice_token: str, second_voice: VoiceProfile
    ) -> None:
        async def talk() -> None:
            async with live(server.url, alice_token, voice="Ann") as client:
                await client.ask()
                await client.ask()

        hold(server, talk())
        wait_until(lambda: Turn.objects.filter(status=Turn.Status.SPOKEN).count() == 2)
        conversation = Conversation.objects.get()
        assert (conversation.voice, conversation.title) == (second_voice, "What is the capital of France?")
