"""How people say that they moved, left, buy, are away: patterns a newcomer can read, as rulebook data.

What a pattern asks for beyond the verb keeps it from everyday sentences: an office ("处长", "director"), a surname, a thing
that is bought. How often they are right is measured in `tests/test_mail_accuracy.py`.
"""

# A pattern is read in one piece, as long as it may be.
# ruff: noqa: E501

from __future__ import annotations

from typing import Literal

import regex
from pydantic import Field, field_validator

from closedloop_chassis.rulebook.rules import Part

FactKind = Literal["job_change", "left_company", "new_contact", "new_project", "absence", "contact_detail"]


class FactRule(Part):
    """A sentence that matches `pattern` says `kind`; named groups become values, `person` names whom it is about."""

    name: str = Field(min_length=1, max_length=64)
    kind: FactKind
    pattern: str = Field(min_length=1, max_length=2000)
    confidence: float = Field(gt=0, le=1)
    # It says what it says by a denial ("I won't be in the office"), which then turns nothing into its contrary.
    by_denial: bool = False

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            regex.compile(pattern)
        except regex.error as error:
            raise ValueError(f"not a pattern: {error}") from error
        return pattern


_DETAIL = r"(?P<detail>\+?\d[\d -]{5,20}\d|[\w.+-]+@[\w-]+(?:\.[\w-]+)+)"

# Chinese. A name begins with a surname; those that also begin everyday words are kept from these.
_SURNAME = (
    "欧阳|司马|上官|诸葛|[王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田"
    "任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文]"
)
_NAME = (
    r"(?P<person>(?!高[校级低]|方[案便面式法]|金额|白[板天]|周[一二三四五六日末]|万一|[任何]何|任务|程[序度]|文[件档]|于是|何时|马上|余款|许可|常[规用])"
    rf"(?:{_SURNAME})[\u4e00-\u9fff]{{1,2}}?)"
)
_HONOUR = r"(?:经理|主任|老师|处长|科长|院长|校长|部长|总|工|先生|女士|同志)"
_NAME_ENDS = (
    rf"(?={_HONOUR}|就|管|接|说|谈|的(?:微信|电话|手机|邮箱)|负责|跟|对接|联系|沟通|了|来|$|[，,。；;（(：:\s\dA-Za-z])"
)
_TITLE = r"(?P<title>[^，,。；;！!、\s]{2,30})"
_OFFICE = (
    r"(?P<title>[^，,。；;！!、\s]{0,20}?(?:主任|[处科局院校部所厅站馆园组厂司]长|经理|总监|工程师|主管|书记|秘书长?|会长|董事长?|总裁|主席"
    r"|助理|专员|负责人|教授|老师)(?:助理)?)"
)
_LEAVES = (
    r"(?:离职(?!率|表|证明|补偿|条款|统计|人员|员工|面谈|的)|辞职|辞呈|退休(?!的|金)|离任|离岗|离开(?:了)?(?:本|原|现|我们|这家)?(?:公司|单位|学校|医院|机构|这里|部门)"
    r"|辞[了掉]职|调离|离校|离院|不再续[签约]|从[^，。；]{1,8}出来了|不在(?:本|原|我们)?(?:公司|单位|学校|医院|这里|这边)(?:上班|工作|任职|了)|跳槽|另谋高就|从[^，。；]{1,8}退了)"
)
_THING = r"(?P<project>(?!系统[，,。]|付款|流程|会议|合同|开会|培训|汇报|报告|材料|方案|文件|[^，。；]{0,4}(?:流程|会议|合同|手续))[^，,。；！!]{2,40})"
_WILL = r"(?:计划|准备|打算|拟|正在|即将|将|要|想|需要|考虑|决定|同意|批准|近期|预计)"
_BUYS = r"(?:新建|建设|建成?|启动|采购|招标|立项|上马|改造|扩建|更换|升级|购置|购买|添置|新增|引进|搭建|翻新|上(?=[一几两]?[套批个间]))"

CHINESE = (
    FactRule(
        name="zh.i_moved",
        kind="job_change",
        pattern=r"(?:我|本人)[^，。；把您你]{0,14}?(?:调任|升任|转任|调到|调至|调往|转到|转岗(?:到|做|为|去)?|就任|出任|晋升为?|提拔为?|提升为"
        r"|改任|接任|接手管理|升职了?，?现?在?(?:管|做|任)(?:整个)?|(?:任命|聘任?)(?:我)?为)(?:为|了)?" + _TITLE,
        confidence=0.85,
    ),
    FactRule(
        name="zh.i_hold_an_office",
        kind="job_change",
        pattern=r"(?:(?:我|本人)[^，。；您你]{0,14}?|^|[，,])(?:现任|新任|担任|任|现(?:在|已)?(?:是|为|做|当)|目前在[^，。；您你]{1,8}[做任当]|已(?:经)?是|去[^，。；您你]{2,8}[当做]"
        r"|(?:职务|职位|岗位|头衔)(?:是|为|变为|改为))(?:了)?" + _OFFICE,
        confidence=0.75,
    ),
    FactRule(
        name="zh.i_go_to",
        kind="job_change",
        pattern=r"(?:我|本人)[^，。；把您你]{0,12}?[到去赴](?P<title>(?!贵|你|您)[^，。；您你]{1,10}[处科室部院系司局所办组心])(?:了(?!解)|任职|工作|上班|报到|履职|[当做](?!客))",
        confidence=0.65,
    ),
    FactRule(
        name="zh.somebody_moved",
        kind="job_change",
        pattern=_NAME
        + rf"{_HONOUR}?(?:已经?|现在?|近日|最近|刚刚?|被)?(?:调任|升任|转任|接任|就任|出任|晋升为?|提拔为|改任|担任|任|[是为](?=我们))(?:为|了|我们)?"
        + _OFFICE,
        confidence=0.7,
    ),
    FactRule(
        name="zh.job_changed",
        kind="job_change",
        pattern=r"(?:我|本人)[^，。；]{0,10}(?:岗位|职务|工作)(?:有|发生|已|做了)?(?:调整|变动|变更|调动)|(?:我|本人)[^，。；您你]{0,6}(?:换了?(?:部门|岗位|处室|科室)|升职|升了职|高升)"
        r"|由(?:我|本人)(?:来)?(?:主持|分管|牵头|执掌|领导)[^，。；]{0,12}工作|(?:任命|提拔|聘任?)(?:我|本人)(?:为|当|做)"
        + _TITLE.replace("(?P<title>", "(?P<title>")
        + "?",
        confidence=0.6,
    ),
    FactRule(
        name="zh.i_left",
        kind="left_company",
        pattern=rf"(?:我|本人)[^，。；您你]{{0,16}}?(?:{_LEAVES}|不再(?:负责|担任|从事)|要?离开(?!家|一会)[^，。；]{{2,12}}了)",
        confidence=0.85,
    ),
    FactRule(
        name="zh.last_day",
        kind="left_company",
        pattern=r"(?:我|本人)[^，。；您你]{0,12}(?:的|是)最后(?:一天|一个工作日)(?!报名|假)"
        r"|最后(?:一个?)?(?:上班|工作)[日天](?:就?是|为|：)|(?:我|本人)[^，。；您你]{0,4}[做干待呆]到[^，。；]{1,10}就?(?:走|离开|结束)",
        confidence=0.75,
    ),
    FactRule(
        name="zh.somebody_left",
        kind="left_company",
        pattern=_NAME
        + rf"{_HONOUR}?(?:已经?|刚刚?|近日|也|去年底?|今年初?|上个?[月周]|前[一两几]?[天周月日])*(?:从[^，。]{{2,20}})?{_LEAVES}",
        confidence=0.75,
    ),
    FactRule(
        name="zh.contact_another",
        kind="new_contact",
        pattern=r"(?:请|可以?|直接|麻烦|今后|以后|之后|后续|后面|有事|您|你)[^，。；]{0,6}?(?:联系|找|对接|咨询|与|和|跟|转给|发给|问|加)(?:我的?|我们的?)?"
        r"(?:同事|接替者|继任者|负责人)?" + _NAME + _NAME_ENDS,
        confidence=0.75,
    ),
    FactRule(
        name="zh.taken_over",
        kind="new_contact",
        pattern=r"由(?:我的?|我们的?)?(?:新?同事)?"
        + _NAME
        + rf"{_HONOUR}?(?:来|继续|全权|接着)?(?:接替|接手|接任|接管|负责|对接|跟进|处理|[跟和与][您你])",
        confidence=0.8,
    ),
    FactRule(
        name="zh.new_contact_is",
        kind="new_contact",
        pattern=r"(?:接替我的人?|接替者|继任者?|接班人|联系人|对接人|接口人|负责人)(?:现在|已经?|以后)?(?:是|为|换成|改为|变更为|[：:])(?:了)?\s?"
        + _NAME
        + _NAME_ENDS
        + r"|(?:今后|以后|之后|接下来|现在)[^，。；您你]{0,10}[是归由]"
        + _NAME
        + rf"{_HONOUR}?(?:在|来)?(?:管|负责|跟|盯|做)|"
        + _NAME
        + rf"{_HONOUR}?会?(?:接着|继续|代我|替我)(?:跟|和|与|来|为)[您你]?|(?:推|介绍|引荐|交)给(?:了)?"
        + _NAME
        + r"(?:了|$|[，,。])"
        + r"|(?:换成|改由|移交给?|交接给|交给|转交给?|归)(?P<person>(?:"
        + _SURNAME
        + rf")[\u4e00-\u9fff]{{1,2}}?){_HONOUR}?(?:了|管|负责|跟进|$|[，,。；;（(])",
        confidence=0.75,
    ),
    FactRule(
        name="zh.new_project",
        kind="new_project",
        pattern=rf"(?<!您|你们|贵司){_WILL}(?:在|于)?[^，。；您贵]{{0,15}}?{_BUYS}(?:了)?" + _THING,
        confidence=0.7,
    ),
    FactRule(
        name="zh.to_be_replaced",
        kind="new_project",
        pattern=r"(?:计划|准备|打算|拟|将|要|想)[^，。；您贵]{0,8}把(?P<project>[^，。；]{2,30}?)(?:全部|都)?(?:换|更换|改造|升级|翻新|重建|改成)"
        r"|(?:今年|明年|年内|[上下]半年)[^，。；您贵]{0,4}(?:准备|打算|计划|想|要)[做搞上](?:一套|一批|一个|个)?(?P<project>(?!培训|总结|汇报|体检)[^，,。；！!]{2,40})",
        confidence=0.65,
    ),
    FactRule(
        name="zh.a_new_project",
        kind="new_project",
        pattern=r"(?:有|启动了?|立了)(?:一个|个)?(?P<project>新(?:的)?项目[^，。；！]{0,40})|有(?:一个|个)(?P<project>[^，。；！的]{2,30}项目)"
        r"|(?:缺|还差|急需|需要配备?|要配)(?:一[套批个间台])?(?P<project>(?!人|少|点|钱|时间)[^，。；！您贵]{2,30})[，,][^。；]{0,8}(?:报[个价]|方案|推荐)"
        r"|(?:给了?|拨了?|批了?)[约近]?\d+多?万元?[^，。；]{0,4}?[做建买换]?(?P<project>[^，。；！]{2,30})"
        r"|(?P<project>[^，。；！您贵]{2,30})的?(?:采购意向|招标公告|采购公告)(?:已经?)?(?:公示|发布|挂网)|(?:要|将|即将)?(?:开始|启动|组织)(?P<project>[^，。；！您贵]{2,30}?)的?招标"
        r"|把(?:老|旧|原来?)的?(?P<project>[^，。；！您贵]{2,30}?)(?:全部|都)?(?:更新|换掉|更换|换新)"
        r"|(?P<project>[^，。；！您贵]{2,30})项目(?:已经?|刚刚?|正式)?(?:启动|上马|立项)"
        r"|(?P<project>[^，。；！您贵]{2,30}?)(?:的?(?:预算|资金|经费))?(?:已经?|刚刚?|终于)(?:批下来|批复|获批|立项)",
        confidence=0.7,
    ),
    FactRule(
        name="zh.absence",
        kind="absence",
        pattern=r"(?:休假(?!的|制度|申请|表)|[产年病婚陪]假(?!期的)|请假(?!条|单|制度|期间的)|出差(?!计划|费|报销)|不在(?:办公室|公司|单位)(?!上班|工作|任职|了)|无法及时回复"
        r"|住院(?!部|楼)|(?:我|本人)[^，。；您你]{0,10}(?:不上班|休息|轮休)|参加[^，。；]{1,10}(?:学习|培训|会议)，?[^。；]{0,12}(?:回复|返回|回来)|外出(?:学习|培训|开会|考察)?|在(?:外[地省]|国外|境外|外面?)[^，。；]{0,4}(?:培训|开会|学习|考察|参会|调研))"
        r"(?:[^。；]{0,20}?(?P<until>\d{1,2}月\d{1,2}[日号]|下个?周[一二三四五六日]|下个?月初?))?",
        confidence=0.8,
    ),
    FactRule(
        name="zh.contact_detail",
        kind="contact_detail",
        pattern=r"(?:手机|电话|座机|微信|邮箱|联系方式)(?:号码?|地址)?[^，。；]{0,4}?(?:换成|改为|变更为|更换为|更新为|变为|换了|改了|改成)(?:了)?[:：\s]*"
        r"(?P<detail>[\w@.+ -]{5,60})?|(?:我|本人)(?:已经?|刚刚?)?换(?:手机)?号|新的?(?:办公室?)?(?:手机|电话|邮箱|微信|号)(?:号码?|地址|码)?[^，。；\w]{0,3}(?:[是为：:]\s?)?"
        + _DETAIL
        + r"|(?:停用|作废|不用了|以后|今后)[^。；]{0,8}(?:发|用|写)[到至]?\s?"
        + _DETAIL,
        confidence=0.8,
    ),
)

# English. A name is capitalised, and neither a pronoun nor a department.
_EN_NAME = (
    r"(?P<person>(?!(?:We|You|They|He|She|It|This|That|The|Our|My|Your|Who|There|If|For|Please|Accounting|Accounts|Support|Sales|Billing|Finance"
    r"|Procurement|Purchasing|Marketing|Legal|Customer|Human|Technical|Service|HR|IT)\b|I')[A-Z][\w'-]+(?: [A-Z][\w'-]+){0,2})"
)
_WORDS = r"[^,.;!?\n]"
_ROLE = (
    r"(?:the |a |an |our )?(?:new )?(?="
    + _WORDS
    + r"{0,30}\b(?i:head|director|manager|officer|c[etfio]o|president|lead|leader|chief|coordinator|engineer|principal|dean|administrator"
    r"|supervisor|partner|specialist|analyst|consultant|buyer|secretary|professor|treasurer|vp)\b)(?P<title>"
    + _WORDS
    + r"{2,60})"
)
_HOUSE = r"(?:(?:the|my|our|this) (?:company|firm|school|university|college|hospital|organi[sz]ation|business|team|job|role|position|post)|us\b|[A-Z]\w+)"
_PAPER = r"(?!(?:the |your |this |our |my |his |her )?(?:invoice|contract|quote|quotation|offer|payment|order|minutes|draft|text|samples?|leave|holiday|proposal|report|changes?)\b)"
_OBJECT = r" ?(?P<project>" + _WORDS + r"{2,80})"

ENGLISH = (
    FactRule(
        name="en.i_moved",
        kind="job_change",
        pattern=r"\bI(?:'ve|'m)?\b"
        + _WORDS
        + r"{0,30}?\b(?:moved|promoted|transferred|appointed|started|joined|switched|named|made|taken (?:over|on)|stepped up|stepped|assumed|taking over|become)\b(?:"
        + _WORDS
        + r"{0,30}?\b(?:as|to the position of|to|into|of))? "
        + _ROLE,
        confidence=0.8,
    ),
    FactRule(
        name="en.somebody_moved",
        kind="job_change",
        pattern=_EN_NAME
        + r" (?:is now|is(?= our new)|has become|became|(?:has been|was|is being) (?:promoted to|appointed|named|made))(?: as| to)? "
        + _ROLE,
        confidence=0.7,
    ),
    FactRule(
        name="en.i_am_now",
        kind="job_change",
        pattern=r"\b(?:[Aa]s of|[Ff]rom|[Ss]tarting|[Ss]ince)\b"
        + _WORDS
        + r"{0,30}\bI(?:'m| am|'ll be| will be) "
        + _ROLE
        + r"|\b(?:[Tt]hey|[Bb]oard|[Mm]anagement|[Cc]ompany|[Ss]chool)(?: have| has)? (?:made|appointed|named) me "
        + _ROLE
        + r"|\b(?:[Aa]s of|[Ff]rom|[Ss]tarting|[Ss]ince)\b"
        + _WORDS
        + r"{0,30}\bI(?:'ll| will)(?: be)? (?:run|running|head|heading|lead|leading|oversee|overseeing) (?P<title>"
        + _WORDS
        + r"{2,60})|\bI(?:'m| am) now "
        + _ROLE
        + r"|\bI\b"
        + _WORDS
        + r"{0,30}\bnow (?:work as|serve as|head(?: up)?|lead|run|oversee) (?:the |our )?(?P<title>"
        + _WORDS
        + r"{2,60})",
        confidence=0.75,
    ),
    FactRule(
        name="en.new_role",
        kind="job_change",
        pattern=r"\b[Mm]y new (?:role|position|job|title)\b(?: is| as|:)? ?(?:the |a |an )?(?P<title>"
        + _WORDS
        + r"{2,60})?",
        confidence=0.8,
    ),
    FactRule(
        name="en.i_left",
        kind="left_company",
        pattern=r"\bI(?:'m| am|'ve| have|'ll| will)?\b(?: (?:be|been|now|just|already|decided to|going to))* (?:(?:leave|leaving|left) (?:"
        + _HOUSE
        + r"|here\b|at the end|on [A-Z]|in [A-Z])|(?:resign|resigning|resigned|retire|retiring|retired|quit|quitting)\b)"
        r"|\bI(?:'ve| have)? (?:just )?(?:handed in|given|gave) my (?:notice|resignation)\b|\bI(?:'m| am) (?:off|moving on|moving) to (?:a |another |my )?new (?:employer|company|firm|job)",
        confidence=0.8,
    ),
    FactRule(
        name="en.not_there_any_more",
        kind="left_company",
        pattern=r"\bI (?:won't|will not|will no longer) be (?:at|with|working (?:at|for|with)) "
        + _HOUSE
        + r" (?:after|from|any ?more|any longer)\b",
        confidence=0.75,
        by_denial=True,
    ),
    FactRule(
        name="en.last_day",
        kind="left_company",
        pattern=r"\b[Mm]y (?:very )?(?:last|final) (?:working )?day\b(?! of)|\b[Mm]y time (?:here|(?:at|with) "
        + _HOUSE
        + r") (?:ends|is ending|is over|comes to an end|will end)|\baccepted (?:a|an)(?: new)? (?:position|job|role|offer) (?:elsewhere|at|with)\b",
        confidence=0.8,
    ),
    FactRule(
        name="en.somebody_left",
        kind="left_company",
        pattern=r"\bno longer (?:with|(?:work(?:s|ing)?|employed) (?:at|for|here|with|by))\b|\b(?:[Hh]e|[Ss]he|"
        + _EN_NAME
        + r") (?:has |have |is )?(?:just |recently )?(?:left|leaving|moved on from) (?:the|our) (?:company|firm|school|university|hospital|organi[sz]ation|team)\b|"
        + _EN_NAME.replace("?P<person>", "?:")
        + r" (?:has )?moved on\b(?! to)",
        confidence=0.75,
    ),
    FactRule(
        name="en.contact_another",
        kind="new_contact",
        pattern=r"\b(?:[Cc]ontact|reach(?: out to)?|get in touch with|[Ww]rite to|speak (?:to|with)|talk to|turn to|[Ee]-?mail|[Qq]uestions,? ask|(?:copied|cc'd|introduced|looped in)|[Ss]end "
        + _WORDS
        + r"{1,30} to"
        r"|direct "
        + _WORDS
        + r"{1,30} to|(?:hand|handed|handing|pass|passed|passing|transferring) "
        + _WORDS
        + r"{1,30} to) (?:my (?:colleague|successor|replacement),? )?"
        + _EN_NAME,
        confidence=0.7,
    ),
    FactRule(
        name="en.taken_over",
        kind="new_contact",
        pattern=_EN_NAME
        + r"(?: \([^)]{3,60}\))? (?:(?:will|can|is going to) (?:now )?(?:take (?:over|care)|replace me|be (?:your|taking over)|handle|look after|help(?! you find)|assist)"
        r"|(?:is|has) (?:now )?(?:taking over|taken over(?! as)|your (?:new )?(?:point of )?contact|the (?:one|person|colleague) to (?:talk|speak|write|turn) to|in charge of|responsible for))",
        confidence=0.8,
    ),
    FactRule(
        name="en.new_contact_is",
        kind="new_contact",
        pattern=r"\b(?:point of contact|contact(?: person)?|successor|replacement)(?: is| will be|:) (?:now )?"
        + _EN_NAME,
        confidence=0.75,
    ),
    FactRule(
        name="en.new_project",
        kind="new_project",
        pattern=r"\b(?:planning|plan|intend|intending|going|want|wish|looking|need|hope|hoping|preparing|about|aim|decided|like|will)\b"
        + _WORDS
        + r"{0,20}?\b(?:build|buy|purchase|procure|replace|upgrade|renew|install|renovate|acquire|invest in|moderni[sz]e|tender for|put out to tender)\b"
        + r"(?! (?:you|him|her|them|us|a coffee|the fuse|time|lunch)\b)"
        + _PAPER.replace("(?!", "(?! ")
        + _OBJECT,
        confidence=0.65,
    ),
    FactRule(
        name="en.a_new_project",
        kind="new_project",
        pattern=r"\b(?:a|an|our|one) (?:new )?project (?:to|for|on)\b"
        + _OBJECT
        + r"|\b(?:starting|launching|planning|start|launch|plan|have)\b"
        + _WORDS
        + r"{0,12}? new project\b(?P<project>"
        + _WORDS
        + r"{2,80})?|\b[Tt]ender for\b"
        + _OBJECT
        + r"|\b(?:[Rr]eplacement|[Rr]enewal|[Rr]enovation|[Pp]urchase) of"
        + _OBJECT.replace("{2,80}", "{2,60}?")
        + r" (?:is|are) (?:due|planned|scheduled|approved)|\b(?:going to|will|shall) need (?!to\b|you|more time|help|a (?:moment|while|few|copy|hand))"
        + _OBJECT[2:].replace("{2,80}", "{2,60}?")
        + r" (?:by|for|in|next)\b|\bputting"
        + _OBJECT
        + r" out to tender|\bquote (?:us )?for\b"
        + _OBJECT,
        confidence=0.65,
    ),
    FactRule(
        name="en.money_for",
        kind="new_project",
        pattern=r"\b(?:have|has|got|secured|received) (?:a |the |our )?(?:budget|funds|funding) for\b"
        + _OBJECT
        + r"|\b(?:[Bb]oard|[Mm]anagement|[Cc]ouncil|[Cc]ommittee|[Mm]inistry|[Cc]ity|[Ss]tate|[Gg]overnment|[Ww]e)(?: has| have)? (?:just )?(?:approved|funded|signed off on) "
        + _PAPER
        + _OBJECT[2:],
        confidence=0.65,
    ),
    FactRule(
        name="en.absence",
        kind="absence",
        pattern=r"\b(?:[Oo]ut of (?:the )?office|[Oo]n (?:annual |parental |sick |maternity |paternity )?leave|[Oo]n (?:vacation|holiday)"
        r"|I(?:'m| am|'ll be| will be) (?:away|abroad|travell?ing|off sick|on sick leave|off (?:today|tomorrow|this week|next week|until)|back (?:in the office )?on (?!track|board|top|it\b))"
        r"|^(?:Away|Travell?ing|On a trip)\b)(?:"
        + _WORDS
        + r"{0,40}?,? ?\b(?:until|till|back on|returning(?: on)?) (?P<until>"
        + _WORDS
        + r"{3,30}))?",
        confidence=0.8,
    ),
    FactRule(
        name="en.not_in_the_office",
        kind="absence",
        pattern=r"\bI(?:'m not| won't be| will not be| am not) (?:in|at) (?:the office|work)\b",
        confidence=0.8,
        by_denial=True,
    ),
    FactRule(
        name="en.contact_detail",
        kind="contact_detail",
        pattern=r"\b[Mm]y new (?:phone number|mobile number|email address|e-mail address|phone|mobile|cell|number|email|e-mail|address)\b(?: is|:)? ?"
        r"(?P<detail>[\w@.+ ()-]{5,60})?"
        r"|\b[Mm]y (?:phone|mobile|cell|number|email|e-mail)(?: number| address)? (?:has changed to|changed to|is now) (?P<detail>[\w@.+ ()-]{5,60})"
        r"|\b(?:a|my) new (?:mobile|phone|cell|office|direct|email|e-mail)(?: phone)? ?(?:number|address|line)?[,:]? (?:is )?"
        + _DETAIL
        + r"|\b(?:[Uu]se|[Ww]rite to) "
        + _DETAIL
        + r" (?:from now on|instead|in future)|\b[Mm]y (?:direct line|desk phone|office number|extension) (?:is now|has changed to) "
        + _DETAIL
        + r"|\b(?:now|new|from now on)\b[^,;!?\n]{0,30}\b(?:reach|call|text|e-?mail) me (?:at|on|under) (?P<detail>[\w@.+ ()-]{5,60})",
        confidence=0.8,
    ),
)
DEFAULT_FACTS = (*CHINESE, *ENGLISH)
