"""Amounts in Chinese capitals 大写, as 支付结算办法 (1997, annex 1) writes them (pure)."""

from typing import Final

_DIGITS: Final = "零壹贰叁肆伍陆柒捌玖"
_PLACES: Final = ("", "拾", "佰", "仟")
_SECTIONS: Final = ("", "万", "亿", "万亿", "亿亿")
_SECTION: Final = 10_000
_THOUSAND: Final = 1_000
_MOST_FEN: Final = 10**20


def capital_yuan(fen: int) -> str:
    """Write integer fen as 壹佰贰拾叁元肆角伍分; 整 where no fen follow; ValueError from 10**20."""
    if abs(fen) >= _MOST_FEN:
        msg = f"{fen} fen: allowed is less than {_MOST_FEN}"
        raise ValueError(msg)
    yuan, part = divmod(abs(fen), 100)
    jiao, rest = divmod(part, 10)
    text = f"{_whole(yuan)}元" if yuan else ""
    if jiao:
        text += f"{_DIGITS[jiao]}角"
    elif rest and text:
        # 元 and 分 without 角 have a 零 between them
        text += "零"
    if rest:
        text += f"{_DIGITS[rest]}分"
    else:
        text = f"{text or '零元'}整"
    return f"负{text}" if fen < 0 else text


def _whole(yuan: int) -> str:
    sections: list[int] = []
    while yuan:
        yuan, section = divmod(yuan, _SECTION)
        sections.append(section)
    text = ""
    owes_zero = False
    for place in reversed(range(len(sections))):
        section = sections[place]
        if not section:
            owes_zero = bool(text)
            continue
        if owes_zero or (text and section < _THOUSAND):
            text += "零"
        text += _section(section) + _SECTIONS[place]
        owes_zero = False
    return text


def _section(number: int) -> str:
    # up to four digits: zeros inside are one 零, zeros at the end are none
    text = ""
    for place in (3, 2, 1, 0):
        digit = number // 10**place % 10
        if digit:
            text += _DIGITS[digit] + _PLACES[place]
        elif text and number % 10**place and not text.endswith("零"):
            text += "零"
    return text
