"""The Chinese of codes on paper; a code without a word stands as it is."""

from typing import Final

from cloud.ledger.entries import Book, Kind

SERVICES: Final = {
    "electricity": "电费",
    "water": "水费",
    "gas": "燃气费",
    "heat": "供热费",
    "shared": "公摊费",
    "pool": "公摊费",
    "property": "物业费",
    "property-fee": "物业费",
    "garbage": "垃圾清运费",
    "heating": "供暖费",
    "repair": "维修费",
    "card": "门禁卡",
    "renovation": "装修管理费",
    "hire": "租借费",
    "other": "其他费用",
    "parking": "停车费",
}
CHANNELS: Final = {
    "cash": "现金",
    "bank": "银行转账",
    "pos": "刷卡",
    "wechat": "微信",
    "alipay": "支付宝",
    "online": "线上缴费",
}
# who entered something, where that was no person
ACTORS: Final = {"online payment": "线上缴费"}
POOL_KINDS: Final = {"public": "公共部位用量", "loss": "线路损耗"}
LEVELS: Final = {"project": "全小区", "building": "楼栋", "entrance": "单元"}
WEIGHTS: Final = {
    "area": "面积",
    "usage": "用量",
    "household": "户数",
    "head": "人数",
    "formula": "权数",
}
EXEMPTIONS: Final = {
    "ground_floor": "底层",
    "vacant": "空置",
    "unsold": "未售",
    "unheld": "无业主账户",
}
BEARERS: Final = {"company": "物业公司承担", "others": "其余各户承担"}
BOOKS: Final = {Book.PREPAID: "预收款", Book.DEPOSIT: "押金", Book.RELIEF: "减免"}
RECEIPTS: Final = {
    Kind.PAYMENT: "收款收据",
    Kind.DEPOSIT: "押金收据",
    Kind.OFFSET: "预收冲抵单",
    Kind.DEPOSIT_OFFSET: "押金冲抵单",
    Kind.RELIEF: "减免通知单",
    Kind.REFUND: "退款凭证",
    Kind.VOID: "作废凭证",
}
LATE: Final = "违约金"
ESTIMATED: Final = "标＊的示数为估算值，下期按实际示数退补。"
TIME_UNCERTAIN: Final = "本账单所依据的一次读数，其时间曾不确定，事后已校正。"
UNVERIFIED: Final = "所用价目尚未与官方文件核对。"
REVISED: Final = "本账单取代此前的版本。"
TAKEN_BACK: Final = "本账单已冲红，红字单号："


def service(code: str) -> str:
    """Name a service or charge item."""
    return SERVICES.get(code, code)


def scope(level: str, building: str, entrance: str) -> str:
    """Name who takes part in a pool: the whole project, a building, or an entrance of it."""
    if level == "project":
        return LEVELS[level]
    return f"{building} {entrance}".strip()


def by(code: str, formula: str, *, is_fallback: bool) -> str:
    """Say what a pool is shared by."""
    text = f"按公式：{formula}" if code == "formula" else f"按{WEIGHTS.get(code, code)}"
    return f"{text}（原分摊权数全部为零，改用此项）" if is_fallback else text


def weight(code: str, uom_of_weights: str) -> str:
    """Name the column of weights."""
    name = WEIGHTS.get(code, code)
    return f"{name}（{uom(uom_of_weights)}）" if uom_of_weights else name


def uom(code: str) -> str:
    """Print a unit of measure: m3 is m³."""
    return {"m3": "m³", "m2": "m²"}.get(code, code)
