"""What no log may hold: the keys and passwords the platform was given, tokens, and persons' data seeded for the purpose."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import contacts_pb2, leads_pb2
from closedloop_chassis import contract, ids
from closedloop_devstack.platform import Platform
from closedloop_proofs.fuzz.ground import Ground, Target
from closedloop_proofs.fuzz.logs import credentials

# Nobody else's: looked for in every log of the run. The last two digits of the phone are what a mask may show.
PHONE = "+8613911223344"
MAIL = "lin.secretive@private.example"


async def seed_persons(ground: Ground) -> None:
    """The seeded person goes through every door: accepted, refused by a rule, refused by a slice, malformed."""
    profile = leads_pb2.LeadProfile(
        company_name="Sealed & Sons", contact_name="Lin", region_code="310000", industry="manufacturing",
        phone=PHONE, email_address=MAIL, need=f"call {PHONE} or write to {MAIL}",
    )  # fmt: skip
    provenance = Provenance(source="web_form", source_id=f"sealed-{ground.seed}")
    intake = leads_pb2.IntakeLeadRequest(request_id=ids.new_id(), profile=profile, provenance=provenance)
    unknown = contacts_pb2.CreateContactRequest(request_id=ids.new_id())
    _fill_personal(unknown)
    targets = {target.method.full_name: target for target in ground.targets}
    lead = targets["closedloop.customers.v1.LeadService.IntakeLead"]
    contact = targets["closedloop.customers.v1.ContactService.CreateContact"]
    await ground.ask(lead, intake.SerializeToString(), "integration:website", "integration")
    await ground.ask(lead, intake.SerializeToString()[:-3], "integration:website", "integration")
    intake.provenance.source_id = "x" * 500
    await ground.ask(lead, intake.SerializeToString(), "integration:website", "integration")
    await ground.ask(contact, unknown.SerializeToString(), "OPS-1", "operations")
    # As ids and searches, where they come into messages of refusal.
    for name in ("closedloop.customers.v1.AccountService.ListAccounts", "closedloop.customers.v1.LeadService.GetLead"):
        await _ask_about(ground, targets[name])


async def _ask_about(ground: Ground, target: Target) -> None:
    request = target.method.request()
    for field in request.DESCRIPTOR.fields:
        if field.type == field.TYPE_STRING and not field.is_repeated and field.name != "request_id":
            setattr(request, field.name, f"{PHONE} {MAIL}"[:60])
    await ground.ask(target, request.SerializeToString(), "OPS-1", "operations")


def _fill_personal(message: Message) -> None:
    fields: Any = message.DESCRIPTOR.fields
    for field in fields:
        if (
            field.message_type is not None
            and field.message_type.full_name.startswith("closedloop.")
            and not field.is_repeated
        ):
            getattr(message, field.name).SetInParent()
            _fill_personal(getattr(message, field.name))
        elif contract.is_personal(field) and field.type == field.TYPE_STRING and not field.is_repeated:
            setattr(
                message, field.name, MAIL if "mail" in field.name else PHONE if "phone" in field.name else "Lin Sealed"
            )


def of_platform(platform: Platform) -> dict[str, str]:
    """What it is by what it says."""
    urls = (platform.urls.postgres, platform.urls.redis, platform.urls.broker)
    found = dict(credentials(*urls))
    folder = platform.home.root / "keys"
    for path in sorted(folder.glob("*.token")):
        found[f"the token in {path.name}"] = path.read_text().strip()
    found["the signing key"] = (folder / "signing.pem").read_text().splitlines()[1]
    for name, value in platform.options.environment.items():
        if name.startswith("CLOSEDLOOP_INTEGRATIONS_"):
            found |= _of_setting(name.removeprefix("CLOSEDLOOP_INTEGRATIONS_"), value)
    found |= {"the seeded phone number": PHONE, "the seeded mail address": MAIL}
    return {secret: what for what, secret in found.items()}


def _of_setting(name: str, value: str) -> dict[str, str]:
    if name.endswith("SECRET"):
        return {f"the setting {name}": value}
    if name.endswith("_URL"):
        return dict(credentials(value))
    if name.endswith("ROBOTS") and "key=" in value:
        return {f"the key of {name}": value.partition("key=")[2].partition('"')[0]}
    return {}
