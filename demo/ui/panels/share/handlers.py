"""Handlers of sharing: the payload when the page opens, and QR codes of links. Computes nothing."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import gradio as gr

from demo.domain.errors import DamagedLink
from demo.lab import Lab
from demo.serving.ops.lan_addresses import network_addresses
from demo.ui.gradio.event_options import QUIET
from demo.ui.gradio.private import event_value
from demo.ui.kit.i18n import choose_language, translate, translate_error
from demo.ui.live.link import read_link
from demo.ui.panels.share.panel import show_code, show_share

_ALL_INTERFACES = ("0.0.0.0", "::", "")
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")  # by a proxy on this machine
_LONGEST_NAME = 80  # characters of a model's id, in a sentence


def wire_share(page: gr.Blocks, lab: Lab, share: gr.HTML) -> None:
    """The events: the page opens; a link is to become a QR code."""

    def on_load(request: gr.Request, link: str) -> dict[str, Any]:
        language = choose_language(request)
        at_home = is_at_home(request)
        hosts = network_addresses() if at_home and lab.settings.host in _ALL_INTERFACES else []
        alone = at_home and lab.settings.host not in _ALL_INTERFACES
        return show_share(language, describe_link(language, lab, link), hosts, alone)

    def on_code(request: gr.Request, event: gr.EventData) -> dict[str, Any]:
        code = show_code(choose_language(request), event_value(event, "link"))
        return {**code, "ask": event_value(event, "ask") or 0}

    quiet = {"queue": False, **QUIET}
    opened = gr.Textbox(visible=False)
    page.load(on_load, opened, share, js="() => location.hash.slice(1)", **quiet)
    share.code(on_code, None, share, trigger_mode="always_last", **quiet)


def describe_link(language: str, lab: Lab, link: Any) -> str:
    """A sentence about what the link that opened the page could not bring; "" if it brought all."""
    try:
        model = read_link(link).get("model")
    except DamagedLink as error:
        return translate_error(language, error)
    if model is None or lab.engine.loaded(model) is not None:
        return ""
    status = lab.status(model)
    if status is not None and status.state != "unavailable":
        return ""
    return translate(language, "share.no_model", model=status.name if status else model[:_LONGEST_NAME])


def is_at_home(request: gr.Request) -> bool:
    """Whether the page is opened on the machine that serves it: nobody else learns the addresses of its network."""
    forwarded = any(name in request.headers for name in _FORWARDED)
    return not forwarded and all(map(_is_loopback, (getattr(request.client, "host", None) or "", _host(request))))


def _host(request: gr.Request) -> str:
    """The host of the request, without its port."""
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
