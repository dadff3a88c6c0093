"""The charsets that mails and pages may name: those of text.

Python knows more codecs than these. Some of them are no charsets (rot13, unicode_escape), and two of them, "punycode" and
"idna", take time by the square of what they are given: a megabyte that names one holds its reader for minutes.
"""

from __future__ import annotations

import codecs
import re

# By Python's names for them, of the registry at iana.org/assignments/character-sets.
_OF_TEXT = re.compile(
    r"ascii|utf-(?:7|8|8-sig|16|16-le|16-be|32|32-le|32-be)|iso8859-\d+|cp\d+|koi8-[rtu]|mac-\w+|tis-620|kz1048|ptcp154"
    r"|gb2312|gbk|gb18030|hz|big5|big5hkscs|euc_(?:jp|jis_2004|jisx0213|kr)|shift_jis|shift_jis_2004|shift_jisx0213|johab"
    r"|iso2022_(?:jp(?:_1|_2|_2004|_3|_ext)?|kr)",
    re.A,
)
# Mails and pages that say one of these use characters of its superset.
_SUPERSETS = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "hz": "gb18030",
    "ascii": "utf-8",
    "iso8859-1": "cp1252",
    "big5": "big5hkscs",
}


def codec(charset: str) -> str:
    """Python's name for what reads it; empty for what is no charset of text."""
    try:
        name = codecs.lookup(charset.strip("'\" ")[:60]).name if charset else ""
    except (LookupError, ValueError):
        return ""
    return _SUPERSETS.get(name, name) if _OF_TEXT.fullmatch(name) else ""
