"""`/mcp`: the tools for assistants, over the Model Context Protocol's streamable HTTP. Imports mcp when first asked.

Stateless: what answers a request lives as long as the request, so nothing of it hangs on the server's start and stop.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from demo.domain.errors import DemoError
from demo.lab import Lab
from demo.serving.api.calls import ApiCalls
from demo.serving.api.mcp_tools import INSTRUCTIONS, TOOLS, explain_refusal
from demo.serving.ops.request_log import report_fault

_MOST_BYTES = 2**20  # of a request
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def create_mcp_routes(calls: ApiCalls) -> list[Route]:
    """POST alone: a server that begins no conversation has nothing to stream, and no session to end."""
    server = McpEndpoint(calls)
    return [Route(path, server, methods=["POST"]) for path in ("/mcp", "/mcp/")]


class McpEndpoint:
    """An ASGI application that hands each request to a server made when the first one comes."""

    def __init__(self, calls: ApiCalls):
        self._calls = calls
        self._server: Any = None
        self._making = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._making:
            if self._server is None:
                # Half a second of imports, which must not hold up whoever types at the page.
                self._server = await asyncio.to_thread(create_server, self._calls)
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        manager = StreamableHTTPSessionManager(
            self._server,
            stateless=True,
            max_request_body_size=_MOST_BYTES,
            security_settings=_security(self._calls.lab),
        )
        async with manager.run():
            await manager.handle_request(scope, receive, send)


def create_server(calls: ApiCalls):
    """The protocol's server with the lab's tools."""
    import mcp_types as types
    from mcp.server import Server

    # Each request logs its coming and going; nothing of that is news.
    logging.getLogger("mcp").setLevel(logging.WARNING)
    tools = {tool.name: tool for tool in TOOLS}
    listed = [
        types.Tool(
            name=tool.name,
            title=tool.title,
            description=tool.description,
            input_schema=tool.input_schema,
            output_schema=tool.output_schema,
            annotations=types.ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
        )
        for tool in TOOLS
    ]

    def refuse(sentence: str) -> types.CallToolResult:
        return types.CallToolResult(content=[types.TextContent(type="text", text=sentence)], is_error=True)

    async def list_tools(context, params) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listed)

    async def call_tool(context, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool, told = tools.get(params.name), params.arguments or {}
        if tool is None:
            return refuse(f"“{params.name[:80]}” is not a tool. Accepted: {', '.join(tools)}.")
        try:
            if "model" in tool.properties:
                model = told.get("model")
                await calls.ready(model if isinstance(model, str) else None)
            text, data = await calls.run(lambda: tool.ask(calls.lab, told))
        except DemoError as error:
            return refuse(explain_refusal(error))
        except Exception as error:  # never a traceback to a stranger
            report_fault(error)
            return refuse("Something went wrong on our side.")
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)], structured_content=data)

    return Server(
        "gpt-embedding-lab",
        title="Are GPTs good embedding models?",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _security(lab: Lab):
    """On one's own machine no other name than the machine's own is answered: a page of another site could be behind it.

    A public host is known by names that only its owner knows.
    """
    from mcp.server.transport_security import TransportSecuritySettings

    local = lab.settings.host in ("127.0.0.1", "localhost", "::1") and not lab.settings.public
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=local,
        allowed_hosts=[f"{host}:*" for host in _LOOPBACK],
        allowed_origins=[f"http://{host}:*" for host in _LOOPBACK],
    )
