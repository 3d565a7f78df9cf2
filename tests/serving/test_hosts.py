"""Hosts: whose names a lab answers under, whose address counts, and what a proxy before it changes."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from contextlib import closing, contextmanager

import httpx
import pytest

from demo.backend.fake import FakeEngine
from demo.lab import Lab
from demo.serving.ops.lan_addresses import network_addresses
from demo.settings import Settings, parse_settings
from tests import ROOT
from tests.serving.conftest import live_page, serve
from tests.waiting import eventually

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def fake_lab(**settings) -> Lab:
    engine = FakeEngine(unreachable=())
    engine.load("all-minilm-l6-v2")
    return Lab(Settings(engine="fake", port=0, **{"public": False, **settings}), engine)


# ---- names ---------------------------------------------------------------------------------------------------


def test_a_private_lab_answers_under_its_own_names_only():
    """DNS rebinding: a page of evil.example, whose name leads here, must read nothing."""
    web = serve(fake_lab(allow_host=("Lab.school.example",)))
    own = ["localhost:7860", "127.0.0.1:7860", "[::1]:7860", "[fe80::1%25eth0]", "lab.localhost", "LOCALHOST."]
    own += ["lab.school.example", "192.168.0.7:7860", socket.gethostname(), *network_addresses()]
    for host in own:
        assert web.get("/health", headers={"Host": host}).status_code == 200, host
    for path in ("/health", "/v1/models", "/metrics", "/ready"):
        for host in ("evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.evil.example", "a b"):
            refused = web.get(path, headers={"Host": host})
            assert refused.status_code == 421, (path, host)
            assert "--allow-host" in refused.text
    foreign = web.post("/v1/embeddings", json={"input": "x"}, headers={"Host": "evil.example"})
    assert (foreign.status_code, foreign.json()["error"]["code"]) == (421, "host_not_allowed")


def test_a_public_lab_answers_under_any_name(monkeypatch):
    assert serve(fake_lab(public=True)).get("/health", headers={"Host": "lab.example"}).status_code == 200
    monkeypatch.setenv("SPACE_ID", "somebody/lab")
    assert serve(fake_lab()).get("/health", headers={"Host": "somebody-lab.hf.space"}).status_code == 200


def test_hosts_and_path_come_from_flags_and_environment(monkeypatch):
    settings = parse_settings(["--allow-host", "a.example", "--allow-host", "b.example", "--root-path", "/lab/"])
    assert settings.allow_host == ("a.example", "b.example")
    monkeypatch.setenv("DEMO_ALLOW_HOST", "c.example d.example")
    monkeypatch.setenv("DEMO_ROOT_PATH", "/x")
    assert parse_settings([]).allow_host == ("c.example", "d.example")
    assert parse_settings([]).root_path == "/x"
    with pytest.raises(SystemExit):
        parse_settings(["--root-path", "https://elsewhere.example"])


# ---- the page, over a real server ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page():
    with live_page(fake_lab(person_rate=900)) as (url, server):
        yield url, server


def test_the_page_and_its_endpoints_answer_no_foreign_name(page):
    url, _ = page
    for path in ("/", "/config", "/gradio_api/info"):
        assert httpx.get(url + path, timeout=20).status_code == 200, path
        assert httpx.get(url + path, headers={"Host": "evil.example"}).status_code == 421, path
    for path in ("/live", "/mcp", "/gradio_api/call/embed", "/gradio_api/queue/join"):
        assert httpx.post(url + path, json={}, headers={"Host": "evil.example"}).status_code == 421, path


def test_a_forwarded_host_does_not_become_the_pages_address(page):
    url, _ = page
    evil = {"X-Forwarded-Host": "evil.example", "X-Gradio-Server": "https://evil.example", "X-Forwarded-Proto": "http"}
    for path in ("/", "/config"):
        assert "evil.example" not in httpx.get(url + path, headers=evil, timeout=20).text, path


def test_a_forwarded_address_is_not_believed_without_behind_proxy():
    """uvicorn believes this machine's X-Forwarded-For by default: behind a tunnel anybody could choose an address."""
    with live_page(fake_lab(public=True, person_rate=6, address_rate=6)) as (url, _):
        addresses = [{"X-Forwarded-For": f"8.8.{i}.8"} for i in range(12)]
        answers = [httpx.post(f"{url}/v1/embeddings", json={}, headers=headers) for headers in addresses]
    assert 429 in {answer.status_code for answer in answers}


# ---- ports ---------------------------------------------------------------------------------------------------


def test_a_taken_port_is_said_with_our_own_flag():
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "app.py", "--engine", "fake", "--port", port]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert "--port names another one" in line
    assert "GRADIO" not in line


@pytest.mark.parametrize(("host", "sentence"), [("203.0.113.7", "--host names one"), ("nowhere.invalid", "--host")])
def test_a_host_that_cannot_be_served_is_said_with_our_own_flag(host, sentence, capsys):
    from demo import app

    assert app._serve(fake_lab(host=host)) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert sentence in line
    assert "GRADIO" not in line


# ---- a sub-path, behind a real proxy -------------------------------------------------------------------------

CONFIG = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    location /lab/ {{
      proxy_pass {url}/;
      proxy_buffering off;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
"""


@contextmanager
def nginx(folder, url: str):
    """nginx, which serves `url` below /lab/: its address there."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, url=url))
    proxy = subprocess.Popen([NGINX, "-c", str(config), "-p", str(folder)], stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: httpx.get(f"http://127.0.0.1:{port}/").status_code, catching=httpx.TransportError)
        yield f"http://127.0.0.1:{port}/lab"
    finally:
        proxy.terminate()
        proxy.wait(20)


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_below_a_path_of_a_real_proxy_page_live_and_api_work(tmp_path):
    from gradio_client import Client
    from openai import OpenAI
    from playwright.sync_api import sync_playwright

    from tests.benchmarks.running_app import BROWSER, READY

    with live_page(fake_lab(root_path="/lab", behind_proxy=True)) as (url, _), nginx(tmp_path, url) as below:
        client = OpenAI(base_url=f"{below}/v1", api_key="none")
        assert client.models.list().data
        assert len(client.embeddings.create(model="all-minilm-l6-v2", input=["one", "two"]).data) == 2
        answer = Client(f"{below}/", verbose=False).predict(
            ["one"], ["two"], model="all-minilm-l6-v2", api_name="/compare"
        )
        assert len(answer["similarity"]) == 1
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(**BROWSER)
            page = browser.new_page()
            outside = []
            page.on("request", lambda request: outside.append(request.url) if below not in request.url else None)
            page.goto(f"{below}/", wait_until="commit")
            page.wait_for_function(READY, timeout=60_000)
            before = page.locator("#heatmap div.hm").get_attribute("data-seq")
            page.locator("#questions textarea").fill("Another question?\nOne more?")
            page.wait_for_function(
                f"document.querySelector('#heatmap div.hm').dataset.seq !== '{before}'", timeout=60_000
            )
            page.wait_for_function(READY, timeout=60_000)
            browser.close()
        assert not [request for request in outside if not request.startswith(("data:", "blob:"))]
