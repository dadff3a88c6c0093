"""A small knowledge base in Chinese and questions as sellers put them, with how well each article answers (S85).

Grades: 3 answers it, 2 helps, 1 has to do with it; what is not named has nothing to do with it. Questions were written
in other words than the articles where people would use other words, and none was changed after the search was tried.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """`where`: customer type, industry, stage; empty: everywhere."""

    key: str
    kind: str
    title: str
    body: str
    where: tuple[str, str, str] = ("", "", "")


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    grades: dict[str, int]
    where: tuple[str, str, str] = ("", "", "")


TEXTS = (
    Text(
        "smed",
        "product",
        "快速换型模块 SMED",
        "把换线时间从四十分钟降到八分钟。适合多品种小批量的机加工车间, 需要工装夹具标准化配合。",
    ),
    Text(
        "smed-case",
        "success_case",
        "某轴承厂换型提速案例",
        "客户每天换线六次, 停产损失每月三十万。上线快速换型后月增产能百分之十一, 八个月收回投资。",
        ("", "machinery", ""),
    ),
    Text("oee", "product", "设备综合效率看板", "实时统计开动率、性能、良率三项, 停机原因自动归类, 班组长手机可见。"),
    Text(
        "oee-lesson",
        "lesson",
        "三分钟学会讲设备效率",
        "先问客户知不知道上周停机多少小时, 再用看板截图说明。不要一上来报参数。",
        ("", "", "b2b/need"),
    ),
    Text(
        "price-high",
        "script",
        "客户说太贵怎么答",
        "先认同预算压力, 再把总拥有成本按三年折算: 能耗、维保、停机损失。最后给出分期方案, 不要先让价。",
        ("", "", "b2b/quote_approval"),
    ),
    Text(
        "price-policy",
        "policy",
        "折扣权限与报价规则",
        "一线可让百分之五, 经理百分之十五, 超过须总监审批。任何口头优惠无效, 以审批后的报价单为准。",
    ),
    Text(
        "rival-a",
        "script",
        "与竞品甲公司的对比要点",
        "不贬低对手。对比三点: 本地服务响应四小时、开放接口、老客户复购率。让客户自己试样。",
    ),
    Text(
        "rival-table",
        "solution",
        "竞品对照表 2026",
        "甲公司价格低百分之八但备件周期六周; 乙公司功能全但实施半年。我方实施六周, 备件次日达。",
    ),
    Text(
        "roi",
        "solution",
        "投资回报测算模板",
        "输入产量、停机时间、人工成本, 自动算出回收期和三年净现值, 财务总监最关心现金流。",
    ),
    Text(
        "cfo",
        "lesson",
        "三分钟学会和财务总监谈",
        "财务关心回收期、现金流和风险, 不关心参数。带上测算表, 先问他们的投资门槛。",
        ("", "", "b2b/proposal"),
    ),
    Text(
        "decision",
        "script",
        "如何问清决策流程",
        "谁签字、谁反对、谁用、谁出钱。可以问: 上次类似项目是怎么定下来的? 还有谁需要看到这个方案?",
    ),
    Text(
        "payment",
        "clause",
        "付款方式条款",
        "常用三三三一: 预付三成、到货三成、验收三成、质保金一成。国企多要求验收后付款, 可用银行保函替代预付。",
    ),
    Text(
        "warranty",
        "clause",
        "质保条款",
        "标准质保十二个月, 可延至三十六个月, 含易损件以外的备件与人工。延保费为合同额百分之三每年。",
    ),
    Text(
        "delivery",
        "clause",
        "交期与违约责任",
        "交期从预付款到账起八周。每延误一周赔合同额千分之五, 上限百分之五。客户原因顺延。",
    ),
    Text(
        "acceptance", "clause", "验收标准条款", "以产能、良率、连续运行七十二小时三项指标验收, 指标写入附件, 双方签字。"
    ),
    Text("data-safe", "clause", "数据安全与保密", "数据存于客户本地机房, 我方不留副本, 远程维护须客户授权并留痕。"),
    Text(
        "hospital",
        "success_case",
        "三甲医院物资追溯项目",
        "高值耗材一物一码, 从入库到病人可追溯, 盘点从两天缩到两小时, 通过等保三级。",
        ("hospital", "healthcare", ""),
    ),
    Text(
        "hospital-buy",
        "policy",
        "医院采购流程说明",
        "医院设备须进年度预算, 三万以上走招标办, 先科室论证、再院长办公会, 周期四到八个月。",
        ("hospital", "healthcare", ""),
    ),
    Text(
        "hospital-doc",
        "script",
        "和科主任第一次见面",
        "不谈价格, 先谈临床痛点和同级医院怎么做。带一页循证材料, 十分钟讲完。",
        ("hospital", "healthcare", "b2b/profile"),
    ),
    Text(
        "school",
        "success_case",
        "某职业学院实训室建设",
        "教育局统一招标, 以实训课程与师资培训中标, 带动设备采购二百万。",
        ("school", "education", ""),
    ),
    Text(
        "school-tender",
        "policy",
        "教育行业投标须知",
        "政府采购网公告期二十天, 资质要齐: 三年审计报告、社保缴纳证明、无违法记录。评分技术六十商务四十。",
        ("school", "education", ""),
    ),
    Text(
        "retail-shelf",
        "script",
        "门店陈列谈判话术",
        "用坪效说话: 同类门店把第二排面给我们后客单价上升百分之六。先要堆头两周试销。",
        ("store", "retail", ""),
    ),
    Text(
        "retail-promo",
        "success_case",
        "连锁超市促销联动案例",
        "会员日满减加试吃, 三十家店两周销量翻一倍, 缺货率控制在百分之二以下。",
        ("store", "retail", ""),
    ),
    Text(
        "retail-visit",
        "lesson",
        "三分钟高效巡店",
        "看排面、看库存、看价签、问店长、拍三张照片。离店前约好下次补货时间。",
        ("store", "retail", "retail/store_visit"),
    ),
    Text(
        "dealer",
        "policy",
        "经销商返利与窜货管理",
        "季度返利按达成阶梯计算, 窜货一次扣当季返利, 两次取消资格。条码可查流向。",
    ),
    Text(
        "poc",
        "solution",
        "概念验证试点方案",
        "选一条线四周试点, 事先写下成功指标与退出条件, 技术负责人每周复盘, 达标再签主合同。",
        ("", "", "b2b/proposal"),
    ),
    Text(
        "poc-lesson",
        "lesson",
        "三分钟讲清试点的好处",
        "试点降低客户风险: 先小后大, 指标说话。注意把达标后的采购承诺写进试点协议。",
        ("", "", "b2b/proposal"),
    ),
    Text(
        "integration",
        "product",
        "与用友 U8 和 SAP 的接口",
        "标准接口同步物料、工单、库存, 实施三到五天, 不改客户原有系统。",
    ),
    Text(
        "old-machine",
        "product",
        "老设备联网改造盒子",
        "无需更换机床, 加装采集盒即可读取电流与信号, 支持二十年以上的老机型。",
    ),
    Text(
        "training-plan",
        "solution",
        "上线培训与推广计划",
        "分操作工、班组长、管理者三类培训, 每类两小时, 上线后驻场两周。",
    ),
    Text("worker", "script", "一线工人抵触怎么办", "先让老师傅参与选型, 承诺不用于扣钱, 用省下的加班时间做说服。"),
    Text(
        "stall",
        "script",
        "客户总说再等等",
        "问清等什么: 等预算、等领导、等别家? 给出现在不做每月损失多少, 约定具体日期而不是改天。",
    ),
    Text(
        "silence",
        "script",
        "报价后客户不回消息",
        "隔两天换渠道, 带一条对他有用的新信息, 不要问考虑得怎么样。第三次可请上级出面。",
    ),
    Text(
        "next-step",
        "lesson",
        "三分钟学会约下一步",
        "每次拜访结束前说定: 谁、什么时候、做什么。写进当天日志, 当晚发纪要给客户。",
    ),
    Text(
        "complaint", "script", "客户投诉售后慢", "先道歉, 两小时内给责任人和时间表, 事后附整改说明。切勿推给其他部门。"
    ),
    Text(
        "renew",
        "solution",
        "续约与扩容方案",
        "到期前九十天做价值回顾: 用数据说明省了多少, 再谈扩容, 老客户价格锁定两年。",
    ),
    Text(
        "churn-signs",
        "lesson",
        "三分钟识别客户要流失",
        "联系人换了、登录少了、开始要数据导出、提到别家。出现两项就上报并约高层拜访。",
    ),
    Text(
        "big-discount",
        "success_case",
        "没降价也拿下的订单",
        "客户要求降两成, 销售改为延长质保和分期, 毛利守住三十六个点, 签约只晚一周。",
    ),
    Text(
        "energy",
        "product",
        "能耗管理系统",
        "按工位统计电、水、气, 找出空转浪费, 一般节能百分之八到十二, 可申请绿色制造补贴。",
    ),
    Text(
        "subsidy",
        "policy",
        "智能制造补贴申报指南",
        "各地工信局每年三月和九月受理, 项目投资一百万以上, 按设备额百分之十到二十补助。",
    ),
    Text(
        "food",
        "success_case",
        "乳品厂批次追溯案例",
        "从奶源到货架一码到底, 召回时间从三天缩到四小时, 通过了客户审核。",
        ("", "food", ""),
    ),
    Text(
        "auto",
        "success_case",
        "汽车零部件防错项目",
        "拧紧数据逐件绑定, 漏装为零, 顺利通过主机厂审核, 不良率降到百万分之三十。",
        ("", "automotive", ""),
    ),
    Text("leasing", "solution", "设备融资租赁方案", "首付两成, 三年还清, 租金可抵税, 适合现金紧张的中小企业。"),
    Text(
        "intro",
        "lesson",
        "三分钟介绍公司",
        "先讲客户这一行里我们做成了什么, 再讲我们是谁。控制在两分钟, 留一分钟提问。",
        ("", "", "b2b/profile"),
    ),
)

QUESTIONS = (
    Question("客户嫌贵怎么回", {"price-high": 3, "big-discount": 2, "price-policy": 1, "roi": 1}),
    Question("折扣能给多少要谁批", {"price-policy": 3, "price-high": 1}),
    Question("换线太慢", {"smed": 3, "smed-case": 3}),
    Question("换型提速有没有同行做过", {"smed-case": 3, "smed": 2}, ("", "machinery", "")),
    Question("财务总监要看回收期", {"roi": 3, "cfo": 3, "smed-case": 1}),
    Question("竞争对手比我们便宜", {"rival-table": 3, "rival-a": 3, "price-high": 1}),
    Question("怎么知道谁拍板", {"decision": 3}),
    Question("付款方式可以改吗", {"payment": 3, "leasing": 1}),
    Question("质保能不能延长到三年", {"warranty": 3, "big-discount": 1}),
    Question("延误交货要赔多少", {"delivery": 3}),
    Question("验收指标怎么写", {"acceptance": 3, "poc": 1}),
    Question("数据会不会泄露", {"data-safe": 3}),
    Question("医院招标要多久", {"hospital-buy": 3, "hospital": 1, "school-tender": 1}),
    Question("第一次见科室主任说什么", {"hospital-doc": 3, "intro": 1}),
    Question("有没有医院客户", {"hospital": 3, "hospital-buy": 1}, ("hospital", "healthcare", "")),
    Question("学校投标需要哪些资质", {"school-tender": 3, "school": 1}),
    Question("店长不给好位置", {"retail-shelf": 3, "retail-visit": 1}),
    Question("巡店要拍什么照片", {"retail-visit": 3}),
    Question("促销活动效果", {"retail-promo": 3, "retail-shelf": 1}, ("store", "retail", "")),
    Question("经销商跨区卖货怎么处罚", {"dealer": 3}),
    Question("客户想先试用一条线", {"poc": 3, "poc-lesson": 2}),
    Question("能不能和用友对接", {"integration": 3}),
    Question("二十年的老机床能不能联网", {"old-machine": 3}),
    Question("工人不愿意用", {"worker": 3, "training-plan": 1}),
    Question("客户老是说再考虑", {"stall": 3, "silence": 1}),
    Question("报价发过去没有回音", {"silence": 3, "stall": 1}),
    Question("拜访结束怎么约下次", {"next-step": 3, "retail-visit": 1}),
    Question("售后太慢客户发火了", {"complaint": 3}),
    Question("合同快到期了怎么续", {"renew": 3, "churn-signs": 1}),
    Question("怎么看出客户要跑", {"churn-signs": 3, "renew": 1}),
    Question("电费太高", {"energy": 3}),
    Question("政府有没有补助", {"subsidy": 3, "energy": 1}),
    Question("食品追溯召回", {"food": 3, "hospital": 1}),
    Question("主机厂审核不良率", {"auto": 3}),
    Question("客户没钱一次付清", {"leasing": 3, "payment": 2, "price-high": 1}),
    Question("", {"cfo": 3, "poc": 3, "poc-lesson": 3}, ("", "", "b2b/proposal")),
)
