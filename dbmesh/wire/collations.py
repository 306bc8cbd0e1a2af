"""Collations and character sets of MySQL and MariaDB by id and by name.

Decides which ids of the handshake and of column definitions are known here; how a collation compares text is none
of its business. Character sets a client may not use (ucs2, utf16, utf32) and museum pieces are left out.
Source: information_schema.COLLATIONS of both servers; ids where they differ carry MariaDB's newer names.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_TABLE: tuple[tuple[str, int, str | None, str], ...] = (
    # character set, its default collation, Python codec, then `id name` pairs without the character set's prefix
    (
        "utf8mb4",
        45,
        "utf-8",
        (
            "45 general_ci 46 bin 224 unicode_ci 225 icelandic_ci 226 latvian_ci 227 romanian_ci 228 "
            "slovenian_ci 229 polish_ci 230 estonian_ci 231 spanish_ci 232 swedish_ci 233 turkish_ci 234 "
            "czech_ci 235 danish_ci 236 lithuanian_ci 237 slovak_ci 238 spanish2_ci 239 roman_ci 240 persian_ci "
            "241 esperanto_ci 242 hungarian_ci 243 sinhala_ci 244 german2_ci 245 croatian_mysql561_ci 246 "
            "unicode_520_ci 247 vietnamese_ci 255 0900_ai_ci 256 de_pb_0900_ai_ci 257 is_0900_ai_ci 258 "
            "lv_0900_ai_ci 259 ro_0900_ai_ci 260 sl_0900_ai_ci 261 pl_0900_ai_ci 262 et_0900_ai_ci 263 "
            "es_0900_ai_ci 264 sv_0900_ai_ci 265 tr_0900_ai_ci 266 cs_0900_ai_ci 267 da_0900_ai_ci 268 "
            "lt_0900_ai_ci 269 sk_0900_ai_ci 270 es_trad_0900_ai_ci 271 la_0900_ai_ci 273 eo_0900_ai_ci 274 "
            "hu_0900_ai_ci 275 hr_0900_ai_ci 277 vi_0900_ai_ci 278 0900_as_cs 279 de_pb_0900_as_cs 280 "
            "is_0900_as_cs 281 lv_0900_as_cs 282 ro_0900_as_cs 283 sl_0900_as_cs 284 pl_0900_as_cs 285 "
            "et_0900_as_cs 286 es_0900_as_cs 287 sv_0900_as_cs 288 tr_0900_as_cs 289 cs_0900_as_cs 290 "
            "da_0900_as_cs 291 lt_0900_as_cs 292 sk_0900_as_cs 293 es_trad_0900_as_cs 294 la_0900_as_cs 296 "
            "eo_0900_as_cs 297 hu_0900_as_cs 298 hr_0900_as_cs 300 vi_0900_as_cs 303 ja_0900_as_cs 304 "
            "ja_0900_as_cs_ks 305 0900_as_ci 306 ru_0900_ai_ci 307 ru_0900_as_cs 308 zh_0900_as_cs 309 0900_bin "
            "310 nb_0900_ai_ci 311 nb_0900_as_cs 312 nn_0900_ai_ci 313 nn_0900_as_cs 314 sr_latn_0900_ai_ci 315 "
            "sr_latn_0900_as_cs 316 bs_0900_ai_ci 317 bs_0900_as_cs 318 bg_0900_ai_ci 319 bg_0900_as_cs 320 "
            "gl_0900_ai_ci 321 gl_0900_as_cs 322 mn_cyrl_0900_ai_ci 323 mn_cyrl_0900_as_cs 608 croatian_ci 609 "
            "myanmar_ci 610 thai_520_w2 1069 general_nopad_ci 1070 nopad_bin 1248 unicode_nopad_ci 1270 "
            "unicode_520_nopad_ci 2304 uca1400_ai_ci 2305 uca1400_ai_cs 2306 uca1400_as_ci 2307 uca1400_as_cs "
            "2308 uca1400_nopad_ai_ci 2309 uca1400_nopad_ai_cs 2310 uca1400_nopad_as_ci 2311 "
            "uca1400_nopad_as_cs"
        ),
    ),
    (
        "utf8mb3",
        33,
        "utf-8",
        (
            "33 general_ci 76 tolower_ci 83 bin 192 unicode_ci 193 icelandic_ci 194 latvian_ci 195 romanian_ci "
            "196 slovenian_ci 197 polish_ci 198 estonian_ci 199 spanish_ci 200 swedish_ci 201 turkish_ci 202 "
            "czech_ci 203 danish_ci 204 lithuanian_ci 205 slovak_ci 206 spanish2_ci 207 roman_ci 208 persian_ci "
            "209 esperanto_ci 210 hungarian_ci 211 sinhala_ci 212 german2_ci 213 croatian_mysql561_ci 214 "
            "unicode_520_ci 215 vietnamese_ci 223 general_mysql500_ci 576 croatian_ci 577 myanmar_ci 578 "
            "thai_520_w2 1057 general_nopad_ci 1107 nopad_bin 1216 unicode_nopad_ci 1238 unicode_520_nopad_ci "
            "2048 uca1400_ai_ci 2049 uca1400_ai_cs 2050 uca1400_as_ci 2051 uca1400_as_cs 2052 "
            "uca1400_nopad_ai_ci 2053 uca1400_nopad_ai_cs 2054 uca1400_nopad_as_ci 2055 uca1400_nopad_as_cs"
        ),
    ),
    (
        "latin1",
        8,
        "cp1252",
        (
            "5 german1_ci 8 swedish_ci 15 danish_ci 31 german2_ci 47 bin 48 general_ci 49 general_cs 94 "
            "spanish_ci 1032 swedish_nopad_ci 1071 nopad_bin"
        ),
    ),
    (
        "ascii",
        11,
        "ascii",
        "11 general_ci 65 bin 1035 general_nopad_ci 1089 nopad_bin",
    ),
    (
        "binary",
        63,
        None,
        "63 -",
    ),
    (
        "big5",
        1,
        "big5",
        "1 chinese_ci 84 bin 1025 chinese_nopad_ci 1108 nopad_bin",
    ),
    (
        "cp1250",
        26,
        "cp1250",
        "26 general_ci 34 czech_cs 44 croatian_ci 66 bin 99 polish_ci 1050 general_nopad_ci 1090 nopad_bin",
    ),
    (
        "cp1251",
        51,
        "cp1251",
        (
            "14 bulgarian_ci 23 ukrainian_ci 50 bin 51 general_ci 52 general_cs 1074 nopad_bin 1075 "
            "general_nopad_ci"
        ),
    ),
    (
        "cp1256",
        57,
        "cp1256",
        "57 general_ci 67 bin 1081 general_nopad_ci 1091 nopad_bin",
    ),
    (
        "cp1257",
        59,
        "cp1257",
        "29 lithuanian_ci 58 bin 59 general_ci 1082 nopad_bin 1083 general_nopad_ci",
    ),
    (
        "cp850",
        4,
        "cp850",
        "4 general_ci 80 bin 1028 general_nopad_ci 1104 nopad_bin",
    ),
    (
        "cp852",
        40,
        "cp852",
        "40 general_ci 81 bin 1064 general_nopad_ci 1105 nopad_bin",
    ),
    (
        "cp866",
        36,
        "cp866",
        "36 general_ci 68 bin 1060 general_nopad_ci 1092 nopad_bin",
    ),
    (
        "cp932",
        95,
        "cp932",
        "95 japanese_ci 96 bin 1119 japanese_nopad_ci 1120 nopad_bin",
    ),
    (
        "eucjpms",
        97,
        "euc_jp",
        "97 japanese_ci 98 bin 1121 japanese_nopad_ci 1122 nopad_bin",
    ),
    (
        "euckr",
        19,
        "euc_kr",
        "19 korean_ci 85 bin 1043 korean_nopad_ci 1109 nopad_bin",
    ),
    (
        "gb2312",
        24,
        "gb2312",
        "24 chinese_ci 86 bin 1048 chinese_nopad_ci 1110 nopad_bin",
    ),
    (
        "gbk",
        28,
        "gbk",
        "28 chinese_ci 87 bin 1052 chinese_nopad_ci 1111 nopad_bin",
    ),
    (
        "greek",
        25,
        "iso8859_7",
        "25 general_ci 70 bin 1049 general_nopad_ci 1094 nopad_bin",
    ),
    (
        "hebrew",
        16,
        "iso8859_8",
        "16 general_ci 71 bin 1040 general_nopad_ci 1095 nopad_bin",
    ),
    (
        "koi8r",
        7,
        "koi8_r",
        "7 general_ci 74 bin 1031 general_nopad_ci 1098 nopad_bin",
    ),
    (
        "koi8u",
        22,
        "koi8_u",
        "22 general_ci 75 bin 1046 general_nopad_ci 1099 nopad_bin",
    ),
    (
        "latin2",
        9,
        "iso8859_2",
        "2 czech_cs 9 general_ci 21 hungarian_ci 27 croatian_ci 77 bin 1033 general_nopad_ci 1101 nopad_bin",
    ),
    (
        "latin5",
        30,
        "iso8859_9",
        "30 turkish_ci 78 bin 1054 turkish_nopad_ci 1102 nopad_bin",
    ),
    (
        "latin7",
        41,
        "iso8859_13",
        "20 estonian_cs 41 general_ci 42 general_cs 79 bin 1065 general_nopad_ci 1103 nopad_bin",
    ),
    (
        "sjis",
        13,
        "shift_jis",
        "13 japanese_ci 88 bin 1037 japanese_nopad_ci 1112 nopad_bin",
    ),
    (
        "tis620",
        18,
        "tis_620",
        "18 thai_ci 89 bin 1042 thai_nopad_ci 1113 nopad_bin",
    ),
    (
        "ujis",
        12,
        "euc_jp",
        "12 japanese_ci 91 bin 1036 japanese_nopad_ci 1115 nopad_bin",
    ),
)


def _read_table() -> tuple[Mapping[int, str], Mapping[str, int], Mapping[str, str]]:
    names: dict[int, str] = {}
    charsets: dict[str, str] = {}
    for charset, _, _, pairs in _TABLE:
        words = pairs.split()
        for number, suffix in zip(words[::2], words[1::2], strict=True):
            name = charset if suffix == "-" else f"{charset}_{suffix}"
            names[int(number)] = name
            charsets[name] = charset
    numbers = {name: number for number, name in names.items()}
    return MappingProxyType(names), MappingProxyType(numbers), MappingProxyType(charsets)


_NAMES, _NUMBERS, _CHARSETS = _read_table()
_DEFAULTS: Mapping[str, int] = MappingProxyType({row[0]: row[1] for row in _TABLE})
_CODECS: Mapping[str, str | None] = MappingProxyType({row[0]: row[2] for row in _TABLE})
_MYSQL_8_UTF8MB4 = 255


def _canonical(name: str) -> str:
    """Lower case, with the old spelling of utf8mb3."""
    name = name.lower()
    if name == "utf8":
        return "utf8mb3"
    return "utf8mb3_" + name[5:] if name.startswith("utf8_") else name


def collation_name(id: int) -> str | None:  # noqa: A002 - the protocol's own word
    """Name of a collation id, None when it is not known here."""
    return _NAMES.get(id)


_WIDE: Mapping[str, tuple[range, ...]] = MappingProxyType(
    {
        "ucs2": (range(35, 36), range(90, 91), range(128, 152), range(159, 160), range(640, 642)),
        "utf16": (range(54, 56), range(101, 125), range(672, 674)),
        "utf16le": (range(56, 57), range(62, 63)),
        "utf32": (range(60, 62), range(160, 184), range(736, 738)),
    }
)


def wide_charset(id: int) -> str | None:  # noqa: A002 - the protocol's own word
    """The character set of a collation id whose characters have two bytes at least, which no client may use; None for any
    other."""
    return next((name for name, ids in _WIDE.items() if any(id in some for some in ids)), None)


def collation_id(name: str) -> int | None:
    """Id of a collation; case and the old `utf8_` prefix do not matter. None when it is not known here."""
    return _NUMBERS.get(_canonical(name))


def charset_of_collation(name: str) -> str | None:
    """Character set a collation belongs to, None when it is not known here."""
    return _CHARSETS.get(_canonical(name))


def charset_of(id: int) -> str | None:  # noqa: A002 - the protocol's own word
    """Character set of a collation id, None when it is not known here."""
    return _CHARSETS.get(_NAMES.get(id, ""))


def default_collation(charset: str, *, mysql_8: bool = False) -> str | None:
    """Default collation of a character set. MySQL 8's default of utf8mb4 is another than MariaDB's and MySQL 5.7's.
    None when the character set is not known here."""
    charset = _canonical(charset)
    if mysql_8 and charset == "utf8mb4":
        return _NAMES[_MYSQL_8_UTF8MB4]
    number = _DEFAULTS.get(charset)
    return None if number is None else _NAMES[number]


def encoding(charset: str) -> str | None:
    """Python's codec for a character set; None when it holds no text (binary) or is not known here."""
    return _CODECS.get(_canonical(charset))
