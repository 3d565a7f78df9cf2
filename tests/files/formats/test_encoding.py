"""File signatures: a file that is no table is named for what it is; a text is never taken for one."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import re
import zipfile

import numpy as np
import pytest

from demo.domain.errors import BadInput
from demo.files.formats.encoding import decode, name_kind
from demo.files.limits import FileLimits
from demo.wording.translate import translate_phrase


def archive(member: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr(member, "x")
    return file.getvalue()


def array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


OLE = "an old Excel workbook (.xls), another old Office document, or one with a password"
FILES = {
    "a PNG picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "a JPEG picture": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "a BMP picture": b"BM6\x84\x03\0\0\0\0\0",
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    OLE: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "a binary Excel workbook (.xlsb)": archive("xl/workbook.bin"),
    "an OpenDocument file (.ods, .odt)": archive("content.xml"),
    "a Word document": archive("word/document.xml"),
    "a Numbers or Pages document": archive("Index/Document.iwa"),
    "a ZIP archive": archive("faq.csv"),
    "a gzip archive": gzip.compress(b"q,a"),
    "a bzip2 archive": bz2.compress(b"q,a"),
    "an xz archive": lzma.compress(b"q,a"),
    "a NumPy array": array(),
    "a Python pickle": pickle.dumps([1]),
    "a GGUF model": b"GGUF\x03\0\0\0",
    "a film or a picture": b"\0\0\0\x18ftypmp42",
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_no_table_is_named(kind):
    with pytest.raises(BadInput, match="not a table. Accepted: CSV") as caught:
        decode(FILES[kind], FileLimits())
    assert f"The file is {kind}, not a table." in str(caught.value)
    assert re.search("[가-힣]", translate_phrase("ko", kind))


@pytest.mark.parametrize(
    "text", ["BM,a bitmap", "ID3 tags,music", "BZh,x", "GGUF,a file", "MZ,x", "RIFF,x", "%PDF,x", "PAR,x"]
)
def test_a_text_is_no_other_file(text):
    assert name_kind(text.encode()) == ""
    assert decode(text.encode(), FileLimits())[0] == text


def test_a_korean_text_in_cp949_is_no_picture():
    assert decode("질문,답\n서울은?,수도예요.".encode("cp949"), FileLimits())[1] == "CP949"
