"""Where people work: the province-level divisions of China (GB/T 2260), the districts of Shanghai, and elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

SHANGHAI = "310000"
ABROAD = "abroad"


@dataclass(frozen=True, slots=True)
class Region:
    """A place by its administrative code."""

    code: str
    name_zh: str
    name_en: str


_REGIONS = """
310000 上海市 Shanghai
110000 北京市 Beijing
120000 天津市 Tianjin
130000 河北省 Hebei
140000 山西省 Shanxi
150000 内蒙古自治区 Inner Mongolia
210000 辽宁省 Liaoning
220000 吉林省 Jilin
230000 黑龙江省 Heilongjiang
320000 江苏省 Jiangsu
330000 浙江省 Zhejiang
340000 安徽省 Anhui
350000 福建省 Fujian
360000 江西省 Jiangxi
370000 山东省 Shandong
410000 河南省 Henan
420000 湖北省 Hubei
430000 湖南省 Hunan
440000 广东省 Guangdong
450000 广西壮族自治区 Guangxi
460000 海南省 Hainan
500000 重庆市 Chongqing
510000 四川省 Sichuan
520000 贵州省 Guizhou
530000 云南省 Yunnan
540000 西藏自治区 Tibet
610000 陕西省 Shaanxi
620000 甘肃省 Gansu
630000 青海省 Qinghai
640000 宁夏回族自治区 Ningxia
650000 新疆维吾尔自治区 Xinjiang
710000 台湾省 Taiwan
810000 香港特别行政区 Hong Kong
820000 澳门特别行政区 Macao
abroad 国外 Abroad
"""
_DISTRICTS = """
310101 黄浦区 Huangpu
310104 徐汇区 Xuhui
310105 长宁区 Changning
310106 静安区 Jing'an
310107 普陀区 Putuo
310109 虹口区 Hongkou
310110 杨浦区 Yangpu
310112 闵行区 Minhang
310113 宝山区 Baoshan
310114 嘉定区 Jiading
310115 浦东新区 Pudong
310116 金山区 Jinshan
310117 松江区 Songjiang
310118 青浦区 Qingpu
310120 奉贤区 Fengxian
310151 崇明区 Chongming
"""


def _read(lines: str) -> dict[str, Region]:
    rows = (line.split(" ", 2) for line in lines.strip().splitlines())
    return {code: Region(code, name_zh, name_en) for code, name_zh, name_en in rows}


REGIONS = _read(_REGIONS)
# Shanghai subsidises by district, so it is the one city whose districts are asked.
DISTRICTS = _read(_DISTRICTS)
# IANA zones offered to people, from east to west; a course run may use any zone.
ZONES = (
    "Pacific/Auckland",
    "Australia/Sydney",
    "Asia/Tokyo",
    "Asia/Seoul",
    "Asia/Shanghai",
    "Asia/Hong_Kong",
    "Asia/Macau",
    "Asia/Taipei",
    "Asia/Singapore",
    "Asia/Urumqi",
    "Asia/Bangkok",
    "Asia/Kolkata",
    "Asia/Dubai",
    "Europe/Moscow",
    "Europe/Helsinki",
    "Europe/Athens",
    "Europe/Berlin",
    "Europe/Paris",
    "Europe/Rome",
    "Europe/Madrid",
    "Europe/Lisbon",
    "Europe/London",
    "UTC",
    "America/Sao_Paulo",
    "America/Toronto",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "Pacific/Honolulu",
)
