"""Talk comes in by the platforms' own callbacks and by rows, and is read in funnel and noted in customers."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration

from closedloop.customers.v1 import accounts_pb2, interactions_pb2, interactions_pb2_grpc
from closedloop.funnel.v1 import transcripts_pb2, transcripts_pb2_grpc
from closedloop.integrations.v1 import conversations_pb2 as pb
from closedloop.integrations.v1 import conversations_pb2_grpc
from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop_chassis import ids, protos
from closedloop_devstack.simulators.callbacks import Dingtalk, Wecom
from closedloop_proofs import loop
from closedloop_proofs.loop import OPERATIONS, Stage

from .conftest import CALLBACK

TALK = conversations_pb2_grpc.ConversationServiceStub


@pytest.mark.mission("S68", "S48", "S49")
async def test_what_was_said_outside_is_read_inside(over_redis: Stage) -> None:
    stage, turn = over_redis, loop.new_turn()
    ports = stage.platform.layout.ports("integrations")
    for platform in (Wecom(**CALLBACK), Dingtalk(**CALLBACK)):
        url = f"http://127.0.0.1:{ports.webhooks}/hooks/{platform.source}/sales"
        assert platform.verified(*await asyncio.to_thread(platform.verification().send, url))
        forged = platform.event("change_contact", time.time()).but(nonce="other")
        assert (await asyncio.to_thread(forged.send, url))[0] == 401
    rules = platform_pb2.PublishRulebookRequest(
        request_id=ids.new_id(), name="integrations.conversations", reason="chats are short in this test"
    )
    rules.body.update({"quiet_minutes": 0.001})
    await stage.ask(platform_pb2_grpc.RulebookServiceStub, "PublishRulebook", rules, OPERATIONS, "integrations")
    name = ids.new_id()
    written = Dingtalk(**CALLBACK).written(name, "你们的报价比别家贵。", time.time() - 5, name)
    assert Dingtalk(**CALLBACK).content(*await asyncio.to_thread(written.send, url))

    async def arrived() -> pb.Conversation | None:
        listed = pb.ListConversationsRequest(source="dingtalk", unlinked=True)
        found = (await stage.ask(TALK, "ListConversations", listed, OPERATIONS)).conversations
        return next((each for each in found if each.participants[0].source_user_id == name), None)

    chat = await stage.until("the chat to be here", arrived)
    for step in (loop.lead_in, loop.converted):
        await step(stage, turn)
    call = pb.Conversation(
        kind=pb.CONVERSATION_KIND_CALL,
        start_time=protos.timestamp(datetime.now(UTC) - timedelta(minutes=10)),
        participants=[{"person_id": turn.owner}, {"name": "王老师", "source_user_id": name}],
        provenance={"source": "phone_system", "source_id": name},
    )
    for participant, text in enumerate(("您好，我是销售。", "你们的报价比别家贵，明年再说吧。")):
        call.turns.add(participant=participant, offset=Duration(seconds=9 * participant), text=text)
    brought = pb.ImportConversationsRequest(request_id=ids.new_id(), rows=[call])
    assert (await stage.ask(TALK, "ImportConversations", brought, OPERATIONS)).created == 1
    [mine] = (
        await stage.ask(TALK, "ListConversations", pb.ListConversationsRequest(source="phone_system"), turn.owner)
    ).conversations
    link = pb.LinkConversationRequest(request_id=ids.new_id(), id=mine.id, etag=mine.etag, account_id=turn.account_id)

    async def linked() -> pb.Conversation:
        made: pb.Conversation = await stage.ask(TALK, "LinkConversation", link, turn.owner)
        return made

    assert (await stage.until("integrations to know the account", linked)).account_id == turn.account_id

    async def read() -> transcripts_pb2.Transcript | None:
        request = transcripts_pb2.ListTranscriptsRequest(account_id=turn.account_id)
        found = (
            await stage.ask(transcripts_pb2_grpc.TranscriptServiceStub, "ListTranscripts", request, turn.owner)
        ).transcripts
        return found[0] if found else None

    heard = {each.key for each in (await stage.until("funnel to read it", read)).hearings}
    assert {"price", "competitor"} & heard, heard

    async def noted() -> interactions_pb2.Interaction | None:
        request = interactions_pb2.ListInteractionsRequest(
            record={"type": accounts_pb2.RECORD_TYPE_ACCOUNT, "id": turn.account_id}
        )
        found = (
            await stage.ask(interactions_pb2_grpc.InteractionServiceStub, "ListInteractions", request, turn.owner)
        ).interactions
        return next((each for each in found if each.provenance.source == "conversation"), None)

    assert await stage.until("customers to note it", noted)
    assert chat.version == 1
