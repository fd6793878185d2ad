"""Bytes to text: the charset a mail declares, or the likeliest one when it lies or is silent.

Only names on our own list reach Python's codec registry: it keeps every name it was asked for.
"""

from __future__ import annotations

import re

from turbohtml.detect import detect

_DETECTED = 8192  # bytes looked at to guess a charset

_SAME = {
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "ansi-x3.4-1968": "cp1252",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "l1": "cp1252",
    "unicode-1-1-utf-8": "utf-8",
    "utf8": "utf-8",
    "utf-8": "utf-8",
    "utf8mb4": "utf-8",
    "utf-8-sig": "utf-8",
    "cp65001": "utf-8",
    "unicode": "utf-16",
    "utf-7": "utf-7",
    "unicode-1-1-utf-7": "utf-7",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "utf-32": "utf-32",
    "utf-32le": "utf-32-le",
    "utf-32be": "utf-32-be",
    "gb2312": "gb18030",
    "gb-2312": "gb18030",
    "gb2312-80": "gb18030",
    "chinesesimplified": "gb18030",
    "gbk": "gb18030",
    "cp936": "gb18030",
    "x-gbk": "gb18030",
    "gb18030": "gb18030",
    "hz-gb-2312": "hz",
    "big5": "big5hkscs",
    "big-5": "big5hkscs",
    "cn-big5": "big5hkscs",
    "big5-hkscs": "big5hkscs",
    "cp950": "cp950",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "cp932": "cp932",
    "windows-31j": "cp932",
    "euc-jp": "euc_jp",
    "x-euc-jp": "euc_jp",
    "iso-2022-jp": "iso2022_jp_ext",
    "iso-2022-jp-1": "iso2022_jp_1",
    "iso-2022-jp-2": "iso2022_jp_2",
    "iso-2022-jp-ms": "iso2022_jp_ext",
    "iso-2022-kr": "iso2022_kr",
    "euc-kr": "cp949",
    "ks-c-5601": "cp949",
    "ks-c-5601-1987": "cp949",
    "ksc5601": "cp949",
    "cp949": "cp949",
    "uhc": "cp949",
    "johab": "johab",
    "koi8-r": "koi8_r",
    "koi8-u": "koi8_u",
    "koi8-ru": "koi8_u",
    "koi8": "koi8_r",
    "tis-620": "cp874",
    "windows-874": "cp874",
    "macintosh": "mac_roman",
    "mac": "mac_roman",
    "x-mac-roman": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "ibm437": "cp437",
    "ibm850": "cp850",
    "ibm852": "cp852",
    "ibm866": "cp866",
    "cp437": "cp437",
    "cp850": "cp850",
    "cp852": "cp852",
    "cp866": "cp866",
    "latin2": "iso8859_2",
    "latin9": "iso8859_15",
    "latin-9": "iso8859_15",
    "visual": "iso8859_8",
    "hebrew": "iso8859_8",
    "arabic": "iso8859_6",
    "cyrillic": "iso8859_5",
    "greek": "iso8859_7",
}
_SAME |= {
    f"{prefix}{n}": f"cp{n}" for n in range(1250, 1259) for prefix in ("windows-", "cp", "x-cp")
}
_SAME |= {
    f"{prefix}{n}": f"iso8859_{n}"
    for n in (2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 14, 15, 16)
    for prefix in ("iso-8859-", "iso8859-")
}
# What WHATWG's list says: these are read as their Windows supersets.
_SAME |= {
    "iso-8859-9": "cp1254",
    "iso8859-9": "cp1254",
    "iso-8859-8-i": "iso8859_8",
    "iso-8859-11": "cp874",
}

# In these, bytes below 128 may stand for other characters.
_NOT_ASCII = frozenset(
    {"utf-7", "hz", "iso2022_kr", "iso2022_jp_ext", "iso2022_jp_1", "iso2022_jp_2"}
    | {"utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"}
)
_YEAR = re.compile(r":\d{4}$")


def codec_of(label: str) -> str | None:
    """Python's codec for a charset label of a mail, or None if we know none."""
    label = label.strip(" \t\"'").lower().replace("_", "-").replace(" ", "-")
    if label.startswith("cs") and label[2:] in _SAME:
        label = label[2:]
    return _SAME.get(_YEAR.sub("", label))


def decode(data: bytes, label: str = "", *, is_cut: bool = False) -> str:
    """Decode bytes by the declared charset, else by what they look like. Never raises.

    `is_cut`: one of our bounds may have cut the last character in half; it is dropped then.
    """
    declared = codec_of(label) if label else None
    if data.isascii() and declared not in _NOT_ASCII:
        return data.decode("ascii")
    # Valid UTF-8 beyond ASCII does not happen by chance, whatever a one-byte label says.
    tried = [declared] if declared in _NOT_ASCII else ["utf-8", declared]
    if declared and declared.startswith(("gb", "big5", "cp9", "euc", "johab")):
        tried = [declared, "utf-8"]
    for codec in tried:
        if codec and (text := _try(data, codec, is_cut=is_cut)) is not None:
            return text
    if declared and declared != "utf-8":
        text = data.decode(declared, "replace")
        if text.count("\ufffd") * 20 < len(text):
            return text
    found = detect(data[:_DETECTED]).encoding
    guessed = codec_of(found) if found else None
    if declared == "utf-8" and guessed in (None, "cp1252"):
        text = data.decode("utf-8", "replace")
        # One whole character beyond ASCII, and the label is true: that does not happen by chance.
        proven = any("\x7f" < character != "\ufffd" for character in text[:_DETECTED])
        if proven or text.count("\ufffd") * 20 < len(text):
            return text
    return data.decode(guessed or "cp1252", "replace")


def _try(data: bytes, codec: str, *, is_cut: bool) -> str | None:
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        if not is_cut or error.start < len(data) - 4 or not error.start:
            return None
        try:
            return data[: error.start].decode(codec)
        except UnicodeDecodeError:
            return None
