"""The catalogue: every heading and sentence of ours, English and Chinese side by side."""

from __future__ import annotations

from collections.abc import Mapping

LANGUAGES = ("en", "zh")

CATALOGUE: dict[str, tuple[str, str]] = {
    # Where we are and who we are.
    "platform_down": ("The platform is not running; start it with `make up`.", "平台没有运行；请用 `make up` 启动。"),
    "platform_not_ready": (
        "The platform is {phase}; wait a moment, or look at it with `make status`.",
        "平台状态为 {phase}；请稍候，或用 `make status` 查看。",
    ),
    "no_platform_here": (
        "There is no platform on this machine; set CLOSEDLOOP_PEERS and CLOSEDLOOP_TOKEN.",
        "本机没有平台；请设置 CLOSEDLOOP_PEERS 和 CLOSEDLOOP_TOKEN。",
    ),
    "no_token": (
        "Say who you are: set CLOSEDLOOP_TOKEN, or use --as PERSON on a development machine.",
        "请说明身份：设置 CLOSEDLOOP_TOKEN，或在开发机上使用 --as 人员。",
    ),
    "no_address": (
        "There is no address of {service} (known: {known}); name it in CLOSEDLOOP_PEERS, or start it with `make up`.",
        "没有 {service} 的地址（已知：{known}）；请写入 CLOSEDLOOP_PEERS，或用 `make up` 启动。",
    ),
    "no_address_short": ("no address known", "没有地址"),
    "peers_not_json": (
        'CLOSEDLOOP_PEERS must be a JSON object of addresses, e.g. {{"targets": "dns:///targets:7400"}}.',
        'CLOSEDLOOP_PEERS 应为地址的 JSON 对象，例如 {{"targets": "dns:///targets:7400"}}。',
    ),
    "unreachable": ("The service does not answer.", "服务没有响应。"),
    "you_are": ("You are {person}, roles {roles}, until {until}.", "你是 {person}，角色 {roles}，有效期至 {until}。"),
    "service_says": ("{service}: {message}", "{service}：{message}"),
    # What to do about a refusal.
    "advice.unavailable": (
        "Check with `closedloop doctor`; on this machine `make up` starts it.",
        "请用 `closedloop doctor` 检查；在本机可用 `make up` 启动。",
    ),
    "advice.unauthenticated": (
        "Get a fresh token (CLOSEDLOOP_TOKEN), or use --as PERSON on a development machine.",
        "请更新令牌（CLOSEDLOOP_TOKEN），或在开发机上使用 --as 人员。",
    ),
    "advice.permission_denied": (
        "Ask somebody whose role reaches it, or call with a token of such a role.",
        "请由有此权限的角色操作，或换用相应角色的令牌。",
    ),
    "advice.aborted": ("Somebody was faster: look at it again and repeat.", "已被他人更新：请重新查看后再试。"),
    "advice.resource_exhausted": ("Wait a moment and repeat.", "请稍候重试。"),
    "advice.unimplemented": ("This release does not serve it yet.", "当前版本尚未提供此功能。"),
    "advice.internal": ("Give the error id to those who operate the platform.", "请将错误编号告知平台运维人员。"),
    "advice.deadline_exceeded": (
        "It took too long; repeat, and look at `closedloop events backlog` if it stays so.",
        "响应超时；请重试，若仍如此请查看 `closedloop events backlog`。",
    ),
    # Wrong usage.
    "unknown_word": ("{option}: {word} is none of {known}.", "{option}：{word} 不在 {known} 之中。"),
    "not_a_day": (
        "{option}: {text} is no day; write it like 2026-01-05.",
        "{option}：{text} 不是日期；请写成 2026-01-05。",
    ),
    "not_a_time": (
        "{option}: {text} is no moment; write it like 2026-01-05T09:00.",
        "{option}：{text} 不是时间；请写成 2026-01-05T09:00。",
    ),
    "not_money": (
        '{option}: {text} is no amount of money; write it like "120000 CNY".',
        "{option}：{text} 不是金额；请写成 “120000 CNY”。",
    ),
    "evidence_form": ("{text} is no evidence; write it as KEY=VALUE.", "{text} 不是证据；请写成 键=值。"),
    "evidence_not_json": (
        "{text} is no JSON object; this requirement asks for one.",
        "{text} 不是 JSON 对象；此项要求 JSON。",
    ),
    "file_unreadable": ("{file} cannot be read: {problem}.", "无法读取 {file}：{problem}。"),
    "columns_missing": (
        "{file} lacks the columns {missing}; it has {there}. Name them in a file for --mapping.",
        "{file} 缺少列 {missing}；现有 {there}。请在 --mapping 文件中指定。",
    ),
    "mapping_wrong": ("{file} is wrong at {where}: {problem}.", "{file} 的 {where} 有误：{problem}。"),
    "redrive_what": (
        "Say which events: their ids, --type TYPE, or --all.",
        "请指明事件：编号、--type 类型，或 --all。",
    ),
    "rulebook_whose": (
        "Say whose {name} is meant with --service: {known}.",
        "请用 --service 指明 {name} 属于哪个服务：{known}。",
    ),
    "plan_unknown": ("There is no plan {plan}; give its id or its name.", "没有计划 {plan}；请给出编号或名称。"),
    "plan_ambiguous": (
        "{plan} may be several plans, give the id: {found}.",
        "{plan} 对应多个计划，请给出编号：{found}。",
    ),
    "metric_needed": ("Say which metric with --metric: {metrics}.", "请用 --metric 指明指标：{metrics}。"),
    "figures_wrong": (
        "The service's figures for {kind} do not add up (sent {sent}, told {told}); report it.",
        "服务返回的 {kind} 数目不符（发送 {sent}，返回 {told}）；请上报。",
    ),
    # Results.
    "nothing": ("Nothing found.", "没有找到。"),
    "tree_empty": (
        "There is no organisation yet; load one with `closedloop import org FILE`.",
        "尚无组织；请用 `closedloop import org FILE` 导入。",
    ),
    "board_empty": ("No targets in this period; publish a plan first.", "本期没有目标；请先发布计划。"),
    "inbox_empty": ("Nothing waits for a signature.", "没有待审批事项。"),
    "tasks_empty": ("No task waits.", "没有待办任务。"),
    "parked_none": ("No event is parked.", "没有搁置的事件。"),
    "redriven": ("{count} events were given back to be applied.", "已重新投递 {count} 个事件。"),
    "moved": ("{name}: {before} → {after}", "{name}：{before} → {after}"),
    "still_missing": ("Still missing before the next step", "进入下一步还缺"),
    "leak_levels": ("Version {version}, {metric}: level by level", "版本 {version}，{metric}：逐层"),
    "leak_heads": (
        "{heads} people: from {low} to {high} of a fair share.",
        "{heads} 人：与公平份额相差 {low} 至 {high}。",
    ),
    "leak_nodes": ("Nodes that differ, the largest first", "有差额的节点，由大到小"),
    "leak_none": ("Every node passes on exactly what it received.", "每个节点下达数与接收数一致。"),
    "rulebook_version": ("{name} version {version}, in force since {time}", "{name} 版本 {version}，自 {time} 生效"),
    "rulebook_checked": (
        "{name} would hold; {changes} fields would change. Nothing was changed.",
        "{name} 校验通过；将改变 {changes} 项。未作改动。",
    ),
    "rulebook_published": (
        "{name} is now version {version}; {changes} fields changed.",
        "{name} 现为版本 {version}；改变 {changes} 项。",
    ),
    "asking_services": ("Asking the services", "正在询问各服务"),
    "reading_progress": ("Reading progress", "正在读取进度"),
    # Imports.
    "loading": ("Loading {kind}", "正在导入{kind}"),
    "reading_back": ("Reading back", "正在回读核对"),
    "waiting_for_copies": ("Waiting until {service} has heard of what was loaded", "等待 {service} 收到已导入的数据"),
    "copies_late": (
        "{service} has still {events} events ahead; going on, and sending again what comes too early.",
        "{service} 还有 {events} 个事件未处理；继续导入，过早的行会重新发送。",
    ),
    "closing": ("read = loaded + unchanged + rejected", "读取 = 导入 + 未变 + 拒绝"),
    "closing_dry": (
        "Dry run, nothing was changed: read = loaded + unchanged + rejected",
        "试运行，未作改动：读取 = 导入 + 未变 + 拒绝",
    ),
    "mended": ("Mended by declared aliases", "按声明的别名修正"),
    "totals": ("Opportunities by stage, in {currency}", "各阶段商机，{currency}"),
    "totals_equal": ("The platform answers the same totals as the file.", "平台合计与文件一致。"),
    "totals_differ": (
        "The platform's totals differ from the file's: look at rejected rows, and at what this source brought before.",
        "平台合计与文件不一致：请查看被拒绝的行，以及此来源先前导入的数据。",
    ),
    "accountless_kept": (
        "{count} deals without an account are kept without one.",
        "{count} 个无客户的商机按无客户保留。",
    ),
    "rejections": ("{count} rows rejected, the first {shown}", "拒绝 {count} 行，前 {shown} 行"),
    "errors_in": ("All of them are in {file}.", "全部见 {file}。"),
    "errors_option": ("Write all of them to a file with --errors FILE.", "用 --errors 文件 可写出全部。"),
    # Kinds of records.
    "organisation": ("organisation", "组织"),
    "products": ("products", "产品"),
    "accounts": ("accounts", "客户"),
    "opportunities": ("opportunities", "商机"),
    "leads": ("leads", "线索"),
    # Headings.
    "account": ("account", "客户"),
    "action": ("action", "动作"),
    "address": ("address", "地址"),
    "adds_up": ("adds up", "相符"),
    "after": ("after", "之后"),
    "aliases": ("aliases", "别名"),
    "amount": ("amount", "金额"),
    "answered_time": ("answered", "响应时间"),
    "attempts": ("attempts", "尝试"),
    "became": ("became", "改为"),
    "before": ("before", "之前"),
    "buyer": ("buyer", "采购单位"),
    "by": ("by", "操作人"),
    "calendar": ("calendar", "日历"),
    "changes": ("changes", "变更"),
    "close_date": ("close date", "关单日期"),
    "column": ("column", "列"),
    "comment": ("comment", "意见"),
    "company": ("company", "公司"),
    "condition": ("condition", "状况"),
    "conditions": ("conditions", "附加条件"),
    "confidence": ("confidence", "置信度"),
    "contact": ("contact", "联系人"),
    "content": ("content", "内容"),
    "contract": ("contract", "接口版本"),
    "created": ("created", "新增"),
    "cumulative": ("cumulative", "累计"),
    "customer_type": ("customer type", "客户类型"),
    "decided_by": ("decided by", "决定人"),
    "difference": ("difference", "差额"),
    "discount": ("discount", "折扣"),
    "done": ("done", "完成"),
    "due_time": ("due", "到期"),
    "dwell_days": ("days in stage", "停留天数"),
    "effect": ("effect", "效果"),
    "employees": ("employees", "员工"),
    "engage_date": ("engaged", "接触日期"),
    "equal": ("equal", "一致"),
    "error": ("error", "错误"),
    "expected": ("expected", "预计"),
    "expected_close_date": ("expected close", "预计关单"),
    "field": ("field", "字段"),
    "file": ("file", "文件"),
    "file_count": ("file: deals", "文件：数量"),
    "file_sum": ("file: sum", "文件：金额"),
    "forecast": ("forecast", "预测类别"),
    "from": ("from", "来自"),
    "grade": ("grade", "等级"),
    "heads": ("people", "人数"),
    "holder": ("holder", "承担者"),
    "id": ("id", "编号"),
    "inbox": ("inbox", "收件"),
    "industry": ("industry", "行业"),
    "kind": ("kind", "类型"),
    "last_interaction": ("last interaction", "最近互动"),
    "level": ("level", "层级"),
    "light": ("light", "灯"),
    "line": ("line", "行"),
    "loaded": ("loaded", "导入"),
    "mail": ("mail", "邮箱"),
    "mandatory": ("mandatory", "必备"),
    "message": ("message", "说明"),
    "milliseconds": ("ms", "毫秒"),
    "name": ("name", "名称"),
    "need": ("need", "需求"),
    "nodes": ("nodes", "节点"),
    "on_behalf_of": ("for", "代"),
    "outbox": ("outbox", "发件"),
    "outcome": ("outcome", "结果"),
    "overdue_clocks": ("overdue clocks", "逾期时钟"),
    "owner": ("owner", "负责人"),
    "parked": ("parked", "搁置"),
    "parked_time": ("parked at", "搁置时间"),
    "passed_on": ("passed on", "下达"),
    "person": ("person", "人员"),
    "phone": ("phone", "电话"),
    "pipeline": ("pipeline", "流程"),
    "platform_count": ("platform: deals", "平台：数量"),
    "platform_sum": ("platform: sum", "平台：金额"),
    "problem": ("problem", "问题"),
    "progress": ("progress", "进度"),
    "published": ("published", "发布日期"),
    "rank": ("rank", "名次"),
    "ratio": ("ratio", "比例"),
    "read": ("read", "读取"),
    "reason": ("reason", "原因"),
    "received": ("received", "接收"),
    "received_time": ("received", "收到时间"),
    "records": ("records", "记录"),
    "region": ("region", "地区"),
    "rejected": ("rejected", "拒绝"),
    "requirement": ("requirement", "要求"),
    "revenue": ("revenue", "营收"),
    "rule": ("rule", "规则"),
    "sector": ("sector", "领域"),
    "service": ("service", "服务"),
    "since": ("since", "生效"),
    "source": ("source", "来源"),
    "stage": ("stage", "阶段"),
    "start_time": ("started", "开始"),
    "state": ("state", "状态"),
    "status": ("status", "状态"),
    "step": ("step", "步骤"),
    "subject": ("subject", "对象"),
    "summary": ("summary", "摘要"),
    "target": ("target", "目标"),
    "time": ("time", "时间"),
    "times": ("times", "次数"),
    "title": ("title", "标题"),
    "to": ("to", "至"),
    "unchanged": ("unchanged", "未变"),
    "unit": ("unit", "单位"),
    "updated": ("changed", "更新"),
    "version": ("version", "版本"),
    "warn_time": ("warns", "预警"),
    "warning": ("warning", "预警"),
    "why": ("why", "依据"),
    "written": ("written", "原文"),
}


class Words:
    """`words("loading", kind="accounts")`. A key the catalogue lacks is a defect, hence KeyError."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._place = LANGUAGES.index(language)

    def __call__(self, key: str, **values: object) -> str:
        text = CATALOGUE[key][self._place]
        return text.format(**values)


def of_environment(environment: Mapping[str, str]) -> str:
    """By LC_ALL, LC_MESSAGES, LANG, the first that is set; English unless it is Chinese."""
    named = next((found for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (found := environment.get(name))), "")
    return "zh" if named.lower().startswith("zh") else "en"
