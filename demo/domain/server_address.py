"""Server addresses: parses `NAME=URL#MODEL?FIELD=VALUE`, a model on an embeddings server.

Holds no key, sends no request.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

REMOTE = "remote:"  # before a server's name, a model's id
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_ACCEPTED = "Accepted: NAME=URL or NAME=URL#MODEL, as in vllm=http://127.0.0.1:8000/v1#intfloat/e5-small"
_ENCODINGS = ("float", "base64")  # of the vectors in an answer


@dataclass(frozen=True)
class RemoteServer:
    """One model of an OpenAI-compatible embeddings server."""

    name: str
    url: str  # what `/embeddings` stands behind; ends in /v1 as a rule
    served: str = ""  # the model's name at its server; "" for the only one that it serves
    fields: tuple[tuple[str, Any], ...] = ()  # of every request, beside texts and model; values as JSON has them

    @classmethod
    def parse(cls, written: str) -> RemoteServer:
        """`NAME=URL`, `NAME=URL#MODEL` or `NAME=URL#MODEL?FIELD=VALUE&…`, whose values are JSON, or else texts.

        Raises ValueError, which quotes nothing: an address may hold a password.
        """
        name, _, address = written.strip().partition("=")
        try:
            url = urlsplit(address)
            known = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
        except ValueError:  # a port that is no number, a bracket that is not closed
            known = False
        if not _NAME.fullmatch(name) or not known:
            raise ValueError(f"this is no server. {_ACCEPTED}; a name has up to 40 letters, digits, dots and dashes")
        if url.username is not None or url.query:
            raise ValueError("an address holds no password and no key: those come from the environment alone")
        served, _, query = url.fragment.partition("?")
        try:
            fields = {field: _as_json(value) for field, value in parse_qsl(query, strict_parsing=bool(query))}
        except ValueError as error:
            accepted = "Accepted: FIELD=VALUE&FIELD=VALUE"
            raise ValueError(f"what stands after ? is no fields of a request. {accepted}") from error
        if fields.keys() & {"input", "model"} or fields.get("encoding_format", "float") not in _ENCODINGS:
            raise ValueError(f"texts and model are the lab's own fields; encoding_format is {' or '.join(_ENCODINGS)}")
        return cls(name, url._replace(fragment="").geturl().rstrip("/"), served, tuple(fields.items()))

    @property
    def id(self) -> str:
        """The id by which the lab knows the model."""
        return REMOTE + self.name

    @property
    def host(self) -> str:
        """Where the texts go: `127.0.0.1:8000`."""
        return urlsplit(self.url).netloc

    @property
    def key_variable(self) -> str:
        """The variable of the environment that holds the key, if there is one."""
        return "DEMO_REMOTE_KEY_" + re.sub(r"[^A-Z0-9]", "_", self.name.upper())


def _as_json(value: str) -> Any:
    """A number, true, a list; a text where it is no JSON."""
    try:
        return json.loads(value)
    except ValueError:
        return value
