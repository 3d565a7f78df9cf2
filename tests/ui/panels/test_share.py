"""Sharing and presenting, without a browser: the QR code, the addresses, what a link could not bring, the sets."""

from __future__ import annotations

import socket
from dataclasses import replace
from types import SimpleNamespace

import psutil
import pytest

pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend.fake import FakeEngine
from demo.lab import Lab
from demo.serving.ops.lan_addresses import network_addresses
from demo.settings import Settings
from demo.ui.panels.share.handlers import describe_link, is_at_home
from demo.ui.panels.share.panel import MOST_BYTES, show_code


def test_a_code_holds_what_a_code_can_hold_and_says_how_much_that_is():
    longest = "http://192.168.0.12:7860/#z=".ljust(MOST_BYTES, "x")
    shown = show_code("en", longest)
    assert shown["refused"] == ""
    assert shown["code"].startswith("<svg")
    assert "192.168" not in shown["code"], "modules only: no text of anybody reaches the page as markup"
    refused = show_code("en", longest + "x")
    assert refused["code"] == ""
    assert "2,954 characters" in refused["refused"]
    assert "2,953" in refused["refused"]
    assert "2,953자" in show_code("ko", longest + "x")["refused"]


@pytest.mark.parametrize("link", [None, "", 7, ["http://x"], {"link": 1}])
def test_no_link_has_no_code_and_says_why(link):
    assert show_code("en", link) == {"code": "", "refused": show_code("en", "")["refused"]}


@pytest.mark.parametrize("link", ["한글 👩‍👩‍👧", "half a pair \ud83d", "<svg onload=alert(1)>", "\x00"])
def test_any_text_becomes_modules(link):
    code = show_code("en", link)["code"]
    assert code.count("<svg") == 1
    assert "alert" not in code


class Picky(FakeEngine):
    """A host that has the whole catalogue but for one model."""

    def models(self):
        gone = {"state": "unavailable", "reason": "Too large here."}
        return [replace(status, **gone) if status.model == "gpt2" else status for status in super().models()]


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("questions=a", ""),
        ("", ""),
        ("tab=sweep", ""),
        ("heatmap", ""),
        ("model=smollm2-135m-instruct&layer=3", ""),
        ("model=all-minilm-l6-v2", ""),
        ("model=gpt2&questions=a", "GPT-2"),
        ("model=<b>no/such</b>", "<b>no/such</b>"),
        ("model=" + "x" * 500, "x" * 80 + ","),
        ("z=damaged", "damaged or incomplete"),
        ("a=1", "damaged or incomplete"),
    ],
)
def test_what_a_link_could_not_bring_is_said(link, said):
    sentence = describe_link("en", Lab(Settings(engine="fake"), Picky()), link)
    assert said in sentence
    assert bool(sentence) == bool(said)


@pytest.mark.parametrize(
    ("client", "headers", "home"),
    [
        ("127.0.0.1", {"host": "127.0.0.1:7860"}, True),
        ("127.0.0.1", {"host": "localhost:7860"}, True),
        ("::1", {"host": "[::1]:7860"}, True),
        ("192.168.0.7", {"host": "192.168.0.12:7860"}, False),
        ("127.0.0.1", {"host": "lab.school.example"}, False),
        ("127.0.0.1", {"host": "127.0.0.1:7860", "x-forwarded-for": "203.0.113.9"}, False),
        ("127.0.0.1", {"host": "127.0.0.1:78:60]"}, False),
        ("", {}, False),
        (None, {}, False),
    ],
)
def test_only_whoever_sits_at_the_machine_is_told_its_addresses(client, headers, home):
    client = SimpleNamespace(host=client) if client is not None else None
    assert is_at_home(SimpleNamespace(client=client, headers=headers)) is home


def test_a_machines_own_network_comes_before_what_software_made(monkeypatch):
    up = SimpleNamespace(isup=True)
    ip = {
        "lo": "127.0.0.1",
        "docker0": "172.17.0.1",
        "wlan0": "192.168.0.12",
        "eth0": "10.1.2.3",
        "eth1": "93.184.1.9",
        "usb0": "169.254.1.1",
        "off0": "192.168.9.9",
    }
    named = {name: [SimpleNamespace(family=socket.AF_INET, address=address)] for name, address in ip.items()}
    named["eth0"].append(SimpleNamespace(family=socket.AF_INET6, address="fe80::1%eth0"))
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: named)
    monkeypatch.setattr(psutil, "net_if_stats", lambda: {name: up for name in ip if name != "off0"})
    assert network_addresses() == ["10.1.2.3", "192.168.0.12", "93.184.1.9", "172.17.0.1"]

    def hidden():
        raise PermissionError

    monkeypatch.setattr(psutil, "net_if_addrs", hidden)
    assert network_addresses() == []
