"""Text of every character set of DICOM, beside another reader of the same bytes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.charset import convert_encodings, decode_bytes

from xnat_watchd.adapters.dicom.text import decoded

# PS3.3 C.12.1.1.2 and the examples of PS3.5 annexes H to K.
EXAMPLES = [
    (b"Doe^Jane", b"", "Doe^Jane"),
    (b"Buc^J\xe9r\xf4me", b"ISO_IR 100", "Buc^Jérôme"),
    (b"Buc^J\xe9r\xf4me", b"", "Buc^Jérôme"),
    (b"W\xb3odek", b"ISO_IR 101", "Włodek"),
    (b"\xa9ulo", b"ISO_IR 109", "İulo"),
    (b"\xbduri", b"ISO_IR 110", "Ŋuri"),
    (b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", b"ISO_IR 126", "Διονυσιος"),
    (b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", b"ISO_IR 127", "قباني^لنزار"),
    (b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", b"ISO_IR 138", "שרון^דבורה"),
    (b"\xbb\xee\xda\x63\x65\xdc\xd1yp\xd3", b"ISO_IR 144", "Люкceмбypг"),  # noqa: RUF001 - as the standard has it
    (b"\xc7avu\xfeo\xf0lu", b"ISO_IR 148", "Çavuşoğlu"),
    (b"\xb9\xd2\xc1\xca\xa1\xd8\xc5", b"ISO_IR 166", "นามสกุล"),
    (b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", b"ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    ("Wang^XiaoDong=王^小東=".encode(), b"ISO_IR 192", "Wang^XiaoDong=王^小東="),
    (b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", b"GB18030", "Wang^XiaoDong=王^小东="),
    (b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", b"GBK", "Wang^XiaoDong=王^小东="),
    (
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        b"\\ISO 2022 IR 87",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    (
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
        b"ISO 2022 IR 13\\ISO 2022 IR 87",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
    ),
    (
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        b"\\ISO 2022 IR 149",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    (b"Dion is \x1b-F\xc4\xe9\xef\xed\xf5", b"ISO 2022 IR 100\\ISO 2022 IR 126", "Dion is Διονυ"),
]


@pytest.mark.parametrize(("value", "charset", "text"), EXAMPLES)
def test_every_character_set_is_read(value: bytes, charset: bytes, text: str) -> None:
    assert decoded(value, charset) == text
    assert decode_bytes(value, convert_encodings(charset.decode().split("\\")), {0x5E, 0x3D, 0x5C}) == text


def test_chinese_with_escapes_is_read() -> None:  # PS3.5 K.2
    value = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab="

    assert decoded(value, b"\\ISO 2022 IR 58") == "Zhang^XiaoDong=张^小东="


@pytest.mark.parametrize(
    "charset", [b"ISO-IR 192", b"ISO IR 192", b"ISO_IR_192", b"ISO_IR 192 ", b"ISO_IR 192\\ISO_IR 6"]
)
def test_a_misspelt_character_set_is_understood(charset: bytes) -> None:
    assert decoded("Jérôme".encode(), charset) == "Jérôme"


@pytest.mark.parametrize("padding", [b"", b" ", b"\0", b"  \0\0"])
def test_padding_at_the_end_is_cut(padding: bytes) -> None:
    assert decoded(b" Doe^Jane" + padding, b"") == " Doe^Jane"
    assert decoded("Jérôme".encode() + padding, b"ISO_IR 192") == "Jérôme"


def test_what_cannot_be_decoded_is_marked() -> None:
    assert decoded(b"J\xe9r\xf4me", b"ISO_IR 192") == "J�r�me"


@settings(derandomize=True, max_examples=300, deadline=None)
@given(
    st.binary(max_size=60), st.sampled_from(sorted({charset for _, charset, _ in EXAMPLES})) | st.binary(max_size=20)
)
def test_nothing_that_a_header_holds_raises(value: bytes, charset: bytes) -> None:
    decoded(value, charset).encode()
    decoded(b"\x1b$B" + value + b"\x1b$)C" + value, charset).encode()
