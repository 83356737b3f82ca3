"""Sectors of the cultural and creative industries: codes of GB/T 4754-2017, section R and its neighbours.

A choice of some fifty out of 1,772 classes, in the standard's own Chinese; the English is ours. A figure by sector can
be rolled up by the first two digits. `OTHER` stands for every sector not named here.
"""

from __future__ import annotations

from dataclasses import dataclass

OTHER = "other"


@dataclass(frozen=True, slots=True)
class Industry:
    """A sector a person may work in; `code` is a division's, group's or class's number."""

    code: str
    name_zh: str
    name_en: str


@dataclass(frozen=True, slots=True)
class IndustryGroup:
    """Sectors shown under one heading."""

    name_zh: str
    name_en: str
    industries: tuple[Industry, ...]


def _group(name_zh: str, name_en: str, *rows: tuple[str, str, str]) -> IndustryGroup:
    return IndustryGroup(name_zh, name_en, tuple(Industry(*row) for row in rows))


GROUPS = (
    _group(
        "文化艺术业",
        "Culture and the arts",
        ("8810", "文艺创作与表演", "Artistic creation and performance"),
        ("8820", "艺术表演场馆", "Performing-arts venues"),
        ("8831", "图书馆", "Libraries"),
        ("8832", "档案馆", "Archives"),
        ("8840", "文物及非物质文化遗产保护", "Protection of cultural relics and intangible heritage"),
        ("8850", "博物馆", "Museums"),
        ("8860", "烈士陵园、纪念馆", "Memorials"),
        ("8870", "群众文体活动", "Community culture and sport"),
        ("8890", "其他文化艺术业", "Other culture and arts"),
    ),
    _group(
        "新闻、出版、广播影视",
        "News, publishing, broadcasting and film",
        ("8610", "新闻业", "News"),
        ("8621", "图书出版", "Book publishing"),
        ("8622", "报纸出版", "Newspaper publishing"),
        ("8623", "期刊出版", "Periodical publishing"),
        ("8626", "数字出版", "Digital publishing"),
        ("8710", "广播", "Radio"),
        ("8720", "电视", "Television"),
        ("8730", "影视节目制作", "Film and television production"),
        ("8750", "电影和广播电视节目发行", "Film and programme distribution"),
        ("8760", "电影放映", "Film exhibition"),
        ("8770", "录音制作", "Sound recording"),
    ),
    _group(
        "体育和娱乐",
        "Sport and entertainment",
        ("891", "体育组织", "Sports organisations"),
        ("8930", "健身休闲活动", "Fitness and leisure"),
        ("9012", "电子游艺厅娱乐活动", "Electronic amusement arcades"),
        ("9020", "游乐园", "Amusement parks"),
        ("9030", "休闲观光活动", "Leisure sightseeing"),
        ("9051", "文化活动服务", "Cultural event services"),
        ("9053", "文化娱乐经纪人", "Cultural and entertainment agents"),
        ("9090", "其他娱乐业", "Other entertainment"),
    ),
    _group(
        "数字内容与互联网",
        "Digital content and the internet",
        ("6422", "互联网游戏服务", "Online games"),
        ("6429", "互联网其他信息服务", "Other online information services"),
        ("643", "互联网平台", "Online platforms"),
        ("651", "软件开发", "Software development"),
        ("6572", "动漫、游戏数字内容服务", "Animation and game content"),
        ("6579", "其他数字内容服务", "Other digital content"),
    ),
    _group(
        "设计、广告与会展",
        "Design, advertising and exhibitions",
        ("7251", "互联网广告服务", "Online advertising"),
        ("7259", "其他广告服务", "Other advertising"),
        ("7284", "文化会展服务", "Cultural exhibitions and fairs"),
        ("7484", "工程设计活动", "Architectural and engineering design"),
        ("7491", "工业设计服务", "Industrial design"),
        ("7492", "专业设计服务", "Specialised design"),
    ),
    _group(
        "工艺美术、文化用品与艺术品经营",
        "Crafts, cultural goods and the art trade",
        ("231", "印刷", "Printing"),
        ("243", "工艺美术及礼仪用品制造", "Making of arts and crafts"),
        ("242", "乐器制造", "Making of musical instruments"),
        ("245", "玩具制造", "Making of toys"),
        ("5183", "艺术品、收藏品拍卖", "Auctions of art and collectibles"),
        ("5184", "艺术品代理", "Art agencies"),
        ("524", "文化、体育用品及器材专门零售", "Retail of cultural and sports goods"),
    ),
    _group(
        "教育与旅游",
        "Education and tourism",
        ("834", "高等教育", "Higher education"),
        ("8391", "职业技能培训", "Vocational training"),
        ("8393", "文化艺术培训", "Arts training"),
        ("786", "游览景区管理", "Management of scenic areas"),
    ),
    _group("其他", "Other", (OTHER, "其他行业", "Another sector")),
)
# What a rule may ask for in one word: the divisions of section R.
DIVISIONS = {
    "86": Industry("86", "新闻和出版业", "News and publishing"),
    "87": Industry("87", "广播、电视、电影和录音制作业", "Radio, television, film and sound recording"),
    "88": Industry("88", "文化艺术业", "Culture and the arts"),
    "89": Industry("89", "体育", "Sport"),
    "90": Industry("90", "娱乐业", "Entertainment"),
}
INDUSTRIES = {industry.code: industry for group in GROUPS for industry in group.industries}
