"""What the demo company, its people, products and customers may be called."""

from __future__ import annotations

SURNAMES = tuple(
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜"
)
GIVEN = (
    "伟明", "晓峰", "丽华", "志强", "婷婷", "建国", "雪梅", "海涛", "欣怡", "浩然", "佳琪", "国栋",
    "美玲", "子轩", "雨桐", "立新", "思远", "静怡", "文博", "春燕", "俊杰", "若曦", "振宇", "慧敏",
    "天宇", "秋实", "一鸣", "晨曦", "永康", "诗涵", "少华", "梦洁", "宏达", "亚楠", "承志", "嘉怡",
    "树林", "芳芳", "启航", "云帆", "锦程", "书瑶", "大勇", "可欣", "长青", "安琪", "学军", "紫薇",
    "光耀", "依诺",
)  # fmt: skip
BRANDS = (
    "宏远", "华晟", "精诚", "瑞丰", "天工", "恒通", "中正", "新锐", "同济", "泰和", "金石", "启明",
    "远景", "东方", "海川", "盛达", "凯旋", "博雅", "信安", "鼎新", "长风", "万通", "嘉禾", "立信",
)  # fmt: skip

# Region, its areas, and the provinces (GB/T 2260) each area covers.
REGIONS: tuple[tuple[str, str, tuple[tuple[str, tuple[str, ...]], ...]], ...] = (
    ("EAST", "华东", (("上海", ("31",)), ("苏皖", ("32", "34")), ("浙闽", ("33", "35")))),
    ("SOUTH", "华南", (("广东", ("44",)), ("桂琼", ("45", "46")), ("湘赣鄂", ("43", "36", "42")))),
    (
        "NORTH",
        "华北",
        (("京津冀", ("11", "12", "13")), ("晋蒙豫", ("14", "15", "41")), ("鲁辽吉黑", ("37", "21", "22", "23"))),
    ),
    ("WEST", "西部", (("川渝", ("51", "50")), ("云贵陕甘", ("52", "53", "54", "61", "62", "63", "64", "65")))),
)
CITIES = {
    "31": "上海", "32": "苏州", "34": "合肥", "33": "杭州", "35": "厦门", "44": "深圳", "45": "南宁", "46": "海口",
    "43": "长沙", "36": "南昌", "42": "武汉", "11": "北京", "12": "天津", "13": "石家庄", "14": "太原", "15": "包头",
    "41": "郑州", "37": "青岛", "21": "沈阳", "22": "长春", "23": "哈尔滨", "51": "成都", "50": "重庆", "52": "贵阳",
    "53": "昆明", "54": "拉萨", "61": "西安", "62": "兰州", "63": "西宁", "64": "银川", "65": "乌鲁木齐",
}  # fmt: skip
# The two teams of an area: what they are called and the industries they sell to.
TEAMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "制造一队",
        ("manufacturing", "energy", "transport", "construction", "technology", "telecommunications", "software"),
    ),
    ("公共二队", ("education", "government", "medical", "finance", "retail", "services")),
)
# How a customer of an industry is called after its city and brand.
KINDS = {
    "manufacturing": "机械制造有限公司",
    "energy": "新能源有限公司",
    "transport": "物流有限公司",
    "technology": "科技股份有限公司",
    "education": "职业技术学院",
    "government": "政务服务中心",
    "medical": "中医医院",
    "retail": "商业连锁有限公司",
}
# Code, name, line, list price in yuan, life-cycle stage.
PRODUCTS: tuple[tuple[str, str, str, int, str], ...] = (
    ("P-101", "灵犀产线控制器 C3", "automation", 48_000, "mature"),
    ("P-102", "灵犀视觉检测 V2", "automation", 86_000, "growth"),
    ("P-103", "灵犀柔性产线 F1", "automation", 160_000, "introduction"),
    ("P-104", "灵犀边缘网关 G5", "automation", 12_800, "mature"),
    ("P-201", "云枢 MES", "software", 120_000, "growth"),
    ("P-202", "云枢 排产大脑", "software", 98_000, "introduction"),
    ("P-203", "云枢 质量追溯", "software", 66_000, "growth"),
    ("P-204", "云枢 能耗管理", "software", 35_000, "mature"),
    ("P-301", "知行智慧黑板", "campus", 23_500, "mature"),
    ("P-302", "知行实训平台", "campus", 280_000, "growth"),
    ("P-303", "知行校园云", "campus", 150_000, "introduction"),
    ("P-304", "知行安防套件", "campus", 42_000, "mature"),
)
LINES = {"automation": "智能产线", "software": "工业软件", "campus": "智慧校园"}
TITLES = ("采购总监", "设备部经理", "信息中心主任", "总工程师", "副总经理", "生产厂长")
