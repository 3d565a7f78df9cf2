"""Encodings and file signatures: bytes become text, or the kind of file that they are is named."""

from __future__ import annotations

import codecs
import io
import re
import zipfile

from demo.files.limits import FileLimits

GZIP, ZIP, PARQUET = b"\x1f\x8b", b"PK\x03\x04", b"PAR1"
_OLE = b"\xd0\xcf\x11\xe0"
# How files begin that are no text. Source: the formats' own specifications, as the file(1) command knows them.
_SIGNATURES = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"BM": "a BMP picture",
    b"II*\0": "a TIFF picture",
    b"%PDF": "a PDF document",
    _OLE: "an old Excel workbook (.xls), another old Office document, or one with a password",
    ZIP: "a ZIP archive",
    b"PK\x05\x06": "a ZIP archive",
    GZIP: "a gzip archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\xfd7zXZ": "an xz archive",
    b"BZh": "a bzip2 archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"ARROW1": "an Arrow (Feather) file",
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format 3": "an SQLite database",
    b"GGUF": "a GGUF model",
    b"\x80\x02": "a Python pickle",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
    b"\x7fELF": "a program",
    b"MZ\x90": "a program",
    b"RIFF": "a sound, a film or a WebP picture",
    b"OggS": "a sound",
    b"ID3": "a sound",
    b"fLaC": "a sound",
}
_IN_ZIP = {  # by a member's name
    "xl/workbook.bin": "a binary Excel workbook (.xlsb)",
    "content.xml": "an OpenDocument file (.ods, .odt)",
    "word/document.xml": "a Word document",
    "ppt/presentation.xml": "a PowerPoint presentation",
    "Index/Document.iwa": "a Numbers or Pages document",
}
_MOSTLY = 0.95  # of the letters of a Korean text that are not ASCII are Hangul
_HANGUL, _HANGUL_WORD = re.compile("[가-힣]"), re.compile("[가-힣]{2,}")


def name_kind(data: bytes) -> str:
    """What a file is that is no text, by its beginning: "a PNG picture"; "" where nothing says so."""
    if data.startswith(ZIP):
        try:
            names = set(zipfile.ZipFile(io.BytesIO(data)).namelist())
        except (zipfile.BadZipFile, ValueError, OSError):
            names = set()
        return next((kind for member, kind in _IN_ZIP.items() if member in names), "a ZIP archive")
    if data[4:8] == b"ftyp":
        return "a film or a picture"
    # Two letters may begin a text too: only what is no text is named by them.
    text = b"\0" not in data[:4096] and _is_utf8(data[:4096])
    return "" if text else next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), "")


def decode(data: bytes, limits: FileLimits) -> tuple[str, str]:
    """(the text with line feeds alone, its encoding: "UTF-16", "CP949" or "" for UTF-8). Raises BadInput."""
    kind = name_kind(data)
    if kind:
        raise limits.refuse(f"The file is {kind}, not a table.")
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "UTF-16" if wide else ""
    try:
        content = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        content, encoding = "" if wide else _decode_korean(data), "CP949"
        if not content:
            name = "UTF-16" if wide else "UTF-8"
            raise limits.refuse(f"The file is not {name}: byte {error.start + 1:,} cannot be read.") from error
    if "\0" in content:
        raise limits.refuse("The file holds a NUL character, which no text has.")
    return content.replace("\r\n", "\n").replace("\r", "\n"), encoding


def _is_utf8(beginning: bytes) -> bool:
    """Whether a beginning is UTF-8; a letter that it cuts in two does not count."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(beginning)
    except UnicodeDecodeError:
        return False
    return True


def _decode_korean(data: bytes) -> str:
    """The text where it is Korean in CP949, else "".

    Others pass for CP949 too, but not as Hangul throughout, in which letters stand side by side: "Ärger" in CP1252 has
    one such pair of bytes.
    """
    try:
        content = data.decode("cp949")
    except UnicodeDecodeError:
        return ""
    foreign = [letter for letter in content if letter.isalpha() and not letter.isascii()]
    hangul = len(_HANGUL.findall(content))
    beside = sum(map(len, _HANGUL_WORD.findall(content)))
    return content if foreign and hangul >= _MOSTLY * len(foreign) and 2 * beside >= hangul else ""
