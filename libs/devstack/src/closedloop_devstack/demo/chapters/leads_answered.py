"""Step 3: two leads, two clocks of two working hours: one is answered, one is not."""

from __future__ import annotations

from datetime import datetime, timedelta

from closedloop.approvals.v1 import tasks_pb2, tasks_pb2_grpc
from closedloop.common.v1.common_pb2 import LIGHT_RED
from closedloop.customers.v1 import (
    accounts_pb2,
    assignment_pb2,
    assignment_pb2_grpc,
    interactions_pb2,
    leads_pb2,
    leads_pb2_grpc,
)
from closedloop.integrations.v1 import deliveries_pb2, deliveries_pb2_grpc
from closedloop.platform.v1.platform_pb2 import CLOCK_STATE_BREACHED, CLOCK_STATE_MET, CLOCK_STATE_OPEN, Clock
from closedloop_chassis import ids
from closedloop_devstack.demo import rows
from closedloop_devstack.demo.narrator import Text
from closedloop_devstack.demo.stage import OPERATIONS, PROGRAM
from closedloop_devstack.demo.tale import Chapter, Tale, moment
from closedloop_devstack.demo.watch import START, local

FIRST_RESPONSE = "customers.first_response"
UNANSWERED = "customers.unanswered"
ASKED_ON_SATURDAY = START - timedelta(hours=47, minutes=10)
ANSWERED = leads_pb2.LeadProfile(
    company_name="苏州新途精密制造有限公司",
    contact_name="陈立群",
    job_title="生产副总",
    phone="+8613800010001",
    email_address="chen.liqun@xintu.example.com",
    region_code="320000",
    industry="manufacturing",
    product_lines=["automation"],
    need="现有产线换型要四小时，想了解柔性产线",
)
FORGOTTEN = leads_pb2.LeadProfile(
    company_name="宁波远帆电子有限公司",
    contact_name="顾海燕",
    phone="+8613800010002",
    email_address="gu.haiyan@yuanfan.example.com",
    region_code="330000",
    industry="manufacturing",
    product_lines=["software"],
    need="想上 MES，请给个方案",
)


def play(tale: Tale) -> None:
    tale.stage.move_to(START + timedelta(minutes=30))
    tale.rule(
        "customers", "customers.response", "首响 2 个工作小时，否则改派并升级；48 小时无回应报警",
        "first response within 2 working hours, else reassigned and escalated; alarm after 48 h",
    )  # fmt: skip
    first = _arrives(tale, _intake(ANSWERED, "web-20260105-001", tale.stage.now))
    # It lay in the website's queue over the weekend: the 48 hours count from the inquiry.
    second = _arrives(tale, _intake(FORGOTTEN, "web-20260103-014", ASKED_ON_SATURDAY))
    _once(tale, first)
    _answered(tale, first)
    tale.threads.lead_id = first.id
    _alarmed(tale, second)
    _breached(tale, second)
    tale.close(
        Text("线索无人回应，谁都在管、谁都没管", "A lead nobody answers"),
        Text(
            "2 工作小时到点自动改派、主管收到任务、新负责人接手",
            "After 2 working hours it is reassigned, the manager gets a task, the next owner answers",
        ),
    )


def _leads(tale: Tale, person: str) -> leads_pb2_grpc.LeadServiceStub:
    return tale.stage.stub(leads_pb2_grpc.LeadServiceStub, person)


def _read(tale: Tale, lead_id: str) -> leads_pb2.Lead:
    return _leads(tale, OPERATIONS).GetLead(leads_pb2.GetLeadRequest(id=lead_id))


def _arrives(tale: Tale, inquiry: leads_pb2.IntakeLeadRequest) -> leads_pb2.Lead:
    profile = inquiry.profile
    lead = _read(tale, _leads(tale, PROGRAM).IntakeLead(inquiry).id)
    owner = tale.company.person[lead.ownership.owner_id]
    unit = tale.company.unit[owner.unit_id]
    asked = moment(lead.receive_time)
    whom = f"{owner.name} ({unit.name})"
    tale.tell(
        f"网站表单（{local(asked, 'zh')} 填写）来了一条线索：{profile.company_name}，“{profile.need}”。派给 {whom}。",
        f"A lead by the web form, filled in {local(asked)}: {profile.company_name}. Assigned to {whom}.",
    )
    tale.ruled(lead.assignment_rule)
    tale.check(
        "派给了本地区、本行业的小组，并写明理由",
        "given to a team of its region and industry, with the reason",
        profile.region_code[:2] in unit.territory.regions
        and profile.industry in unit.territory.industries
        and bool(lead.assignment_rule.explanation),
    )
    [clock] = tale.stage.clocks("customers", FIRST_RESPONSE, lead.id)
    tale.clock(clock)
    worked = moment(clock.due_time) - moment(clock.start_time)
    tale.check(
        f"首响时钟在走，{local(moment(clock.due_time), 'zh')} 到点",
        f"its clock runs and falls due {local(moment(clock.due_time))}",
        clock.state == CLOCK_STATE_OPEN and worked == timedelta(hours=2),
    )
    return lead


def _intake(profile: leads_pb2.LeadProfile, source_id: str, asked: datetime) -> leads_pb2.IntakeLeadRequest:
    came = rows.came_from(source_id, source="web_form")
    came.observed_time.FromDatetime(asked)
    return leads_pb2.IntakeLeadRequest(request_id=ids.new_id(), profile=profile, provenance=came)


def _once(tale: Tale, lead: leads_pb2.Lead) -> None:
    again = _leads(tale, PROGRAM).IntakeLead(_intake(ANSWERED, "web-20260105-001", tale.stage.now))
    tale.check("同一份表单再来一次，还是同一条线索", "the same form again is the same lead", again.id == lead.id)


def _answered(tale: Tale, lead: leads_pb2.Lead) -> None:
    tale.stage.move_to(START + timedelta(minutes=65))
    owner = lead.ownership.owner_id
    tale.tell(f"{tale.name(owner)} 打了电话。", f"{tale.name(owner)} calls.")
    _leads(tale, owner).RecordResponse(
        leads_pb2.RecordResponseRequest(
            request_id=ids.new_id(),
            id=lead.id,
            channel=interactions_pb2.CHANNEL_PHONE,
            content="电话沟通 18 分钟：换型时间是主要痛点，预算年内有效，约定周三到厂看现场。",
            reached=True,
        )
    )
    read = _read(tale, lead.id)
    [clock] = tale.stage.clocks("customers", FIRST_RESPONSE, lead.id)
    tale.clock(clock)
    minutes = (moment(read.first_response_time) - moment(read.receive_time)).total_seconds() / 60
    tale.facts(answered={"owner": owner, "minutes_to_response": round(minutes)})
    tale.check(
        f"首响用时 {minutes:.0f} 分钟，时钟按时停下，线索进入“联系”",
        f"answered after {minutes:.0f} minutes: the clock is met, the stage is CONTACT",
        clock.state == CLOCK_STATE_MET and read.stage == leads_pb2.LEAD_STAGE_CONTACT,
    )


def _alarmed(tale: Tale, lead: leads_pb2.Lead) -> None:
    """48 plain hours after the inquiry, which lay there over the weekend (S24)."""

    def alarmed() -> bool:
        return _read(tale, lead.id).response_light == LIGHT_RED

    tale.stage.until("the alarm", alarmed)
    [clock] = tale.stage.clocks("customers", UNANSWERED, lead.id)
    tale.clock(clock)
    hours = (tale.stage.now - moment(lead.receive_time)).total_seconds() / 3600
    tale.facts(hours_unanswered=round(hours, 1))
    tale.check(
        f"{lead.profile.company_name} 已等了 {hours:.0f} 小时：48 小时报警，亮红灯",
        f"{lead.profile.company_name} has waited {hours:.0f} hours: the 48 h alarm, red",
        clock.state == CLOCK_STATE_BREACHED and hours >= 48,
    )


def _breached(tale: Tale, lead: leads_pb2.Lead) -> None:
    late = lead.ownership.owner_id
    tale.tell(
        f"{tale.name(late)} 一直没有回复 {lead.profile.company_name}。",
        f"{tale.name(late)} never answers {lead.profile.company_name}.",
    )
    tale.stage.move_to(moment(lead.response_due_time) + timedelta(minutes=1))

    def reassigned() -> leads_pb2.Lead | None:
        read = _read(tale, lead.id)
        return read if read.ownership.owner_id not in (late, "") else None

    moved = tale.stage.until("the lead to be reassigned", reassigned)
    new = moved.ownership.owner_id
    tale.figures("负责人", "owner", tale.name(late), tale.name(new))
    states = _by_state(tale.stage.clocks("customers", FIRST_RESPONSE, lead.id))
    for clock in states.values():
        tale.clock(clock)
    asked = assignment_pb2.ListAssignmentsRequest(
        record=_record(lead.id), methods=[assignment_pb2.ASSIGNMENT_METHOD_RESPONSE_OVERDUE]
    )
    [why] = tale.stage.stub(assignment_pb2_grpc.AssignmentServiceStub, OPERATIONS).ListAssignments(asked).assignments
    tale.ruled(why.rule)
    tale.check(
        "到点未回应：自动改派，升级一次，黄灯，新时钟开始",
        "overdue: reassigned by itself, escalated once, yellow, and a new clock starts",
        why.ownership.owner_id == new and moved.escalation_level == 1 and CLOCK_STATE_OPEN in states,
    )
    tale.facts(breached={"from": late, "to": new, "escalation_level": moved.escalation_level})
    tale.check("第一只时钟记为超时", "the first clock is breached", CLOCK_STATE_BREACHED in states)
    tasks = [_task(tale, lead.id, warning) for warning in (FIRST_RESPONSE, UNANSWERED)]
    _message(tale, lead.id, new)
    _taken_over(tale, lead, new)
    for task in tasks:
        _settled(tale, task)


def _by_state(clocks: list[Clock]) -> dict[int, Clock]:
    return {clock.state: clock for clock in clocks}


def _record(lead_id: str) -> accounts_pb2.RecordReference:
    return accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_LEAD, id=lead_id)


def _task(tale: Tale, lead_id: str, warning: str) -> tasks_pb2.Task:
    tasks = tale.stage.stub(tasks_pb2_grpc.TaskServiceStub, OPERATIONS)
    asked = tasks_pb2.ListTasksRequest(subject_id=lead_id, origin="customers", warning=warning)
    [task] = tale.stage.until("the manager's task", lambda: tasks.ListTasks(asked).tasks)
    tale.tell(
        f"{tale.name(task.assignee_id)} 收到任务：{task.content.title}",
        f"{tale.name(task.assignee_id)} gets a task: {task.content.title}",
    )
    tale.check(
        "任务在主管的清单上，带着规则和证据",
        "the task is on the manager's list, with its rule and evidence",
        "manager" in tale.company.person[task.assignee_id].roles and bool(task.content.rule.rulebook),
    )
    return task


def _message(tale: Tale, lead_id: str, to: str) -> None:
    deliveries = tale.stage.stub(deliveries_pb2_grpc.DeliveryServiceStub, OPERATIONS)
    asked = deliveries_pb2.ListDeliveriesRequest(subject_id=lead_id, person_id=to)
    seen = ""

    def sent() -> deliveries_pb2.Delivery | None:
        nonlocal seen
        for one in deliveries.ListDeliveries(asked).deliveries:
            seen = f"{deliveries_pb2.DeliveryState.Name(one.state)} {one.reason}"
            if one.state in (deliveries_pb2.DELIVERY_STATE_SENT, deliveries_pb2.DELIVERY_STATE_DELIVERED):
                return one
        return None

    message = tale.stage.until("the message to the new owner", sent, seen=lambda: seen)
    channel = deliveries_pb2.Channel.Name(message.channel).removeprefix("CHANNEL_").lower()
    tale.facts(message={"to": to, "channel": channel})
    tale.check(
        f"{tale.name(to)} 已收到改派通知（{channel}）",
        f"{tale.name(to)} is told of it ({channel})",
        message.content.recipient.person_id == to,
    )


def _taken_over(tale: Tale, lead: leads_pb2.Lead, new: str) -> None:
    tale.stage.later(minutes=15)
    _leads(tale, new).RecordResponse(
        leads_pb2.RecordResponseRequest(
            request_id=ids.new_id(),
            id=lead.id,
            channel=interactions_pb2.CHANNEL_PHONE,
            content="向客户致歉并了解现状：两条 SMT 线，希望三月前上线，先发案例再约演示。",
            reached=True,
        )
    )
    states = _by_state(tale.stage.clocks("customers", FIRST_RESPONSE, lead.id))
    tale.check(
        f"{tale.name(new)} 当即回应，第二只时钟按时停下",
        f"{tale.name(new)} answers; the second clock is met",
        CLOCK_STATE_MET in states,
    )


def _settled(tale: Tale, task: tasks_pb2.Task) -> None:
    """Where the answer itself did not withdraw the task, the manager settles it."""
    tale.stage.settle()
    tasks = tale.stage.stub(tasks_pb2_grpc.TaskServiceStub, task.assignee_id)
    read = tasks.GetTask(tasks_pb2.GetTaskRequest(id=task.id))
    if read.state in (tasks_pb2.TASK_STATE_OPEN, tasks_pb2.TASK_STATE_STARTED):
        tasks.CompleteTask(
            tasks_pb2.CompleteTaskRequest(
                request_id=ids.new_id(), id=read.id, etag=read.etag, comment="已与原负责人面谈，调整其在手线索"
            )
        )
        read = tasks.GetTask(tasks_pb2.GetTaskRequest(id=task.id))
    tale.check(
        "主管的任务已了结",
        "the manager's task is settled",
        read.state in (tasks_pb2.TASK_STATE_DONE, tasks_pb2.TASK_STATE_WITHDRAWN),
    )


CHAPTER = Chapter(
    id="3",
    title=Text("线索：两小时时钟，一条按时、一条超时", "Leads: the two-hour clock, once met and once breached"),
    rows=("S21", "S23", "S24", "U-A"),
    play=play,
    needs=("1",),
)
