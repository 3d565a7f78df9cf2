"""`/mcp`: the tools over the Model Context Protocol's streamable HTTP, stateless. Imports mcp at the first request.

This is the package's low-level server, not its MCPServer. That one puts "Error executing tool …" before every
sentence, quotes pydantic's errors with the values in them, ignores unknown arguments, reads JSON out of texts that look
like it, and announces resources and prompts that do not exist here. Its HTTP application needs the lifespan of the
application around it, which is Gradio's. Here a session manager lives as long as one request.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from demo.domain.errors import DemoError, RequestFailed
from demo.serving.api.calls import ApiCalls
from demo.serving.api.mcp_tools import INSTRUCTIONS, TOOLS
from demo.serving.api.request import ReadingRequest
from demo.serving.ops.request_log import report_fault

_MOST_BYTES = 2**20  # of a request


def create_mcp_routes(calls: ApiCalls) -> list[Route]:
    """POST alone: a stateless server has no stream to GET and no session to DELETE."""
    endpoint = McpEndpoint(calls)
    return [Route(path, endpoint, methods=["POST"]) for path in ("/mcp", "/mcp/")]


class McpEndpoint:
    """ASGI application; the first request creates the protocol's server."""

    def __init__(self, calls: ApiCalls):
        self._calls = calls
        self._server: Any = None
        self._creating = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._creating:
            if self._server is None:
                # In a thread: half a second of imports must not delay people who type at the page.
                self._server = await asyncio.to_thread(create_server, self._calls)
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
        from mcp.server.transport_security import TransportSecuritySettings

        # Without its checks of Host and Origin: the middleware makes them for every address of the lab.
        unchecked = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        limits = {"max_request_body_size": _MOST_BYTES, "security_settings": unchecked}
        manager = StreamableHTTPSessionManager(self._server, stateless=True, **limits)
        async with manager.run():
            await manager.handle_request(scope, receive, send)


def create_server(calls: ApiCalls):
    """The protocol's server with the lab's tools. A failure is a result of the tool, as a sentence."""
    import mcp_types as types
    from mcp.server import Server

    # Below that level it logs the start and the end of every request.
    logging.getLogger("mcp").setLevel(logging.WARNING)
    tools = {tool.name: tool for tool in TOOLS}
    harmless = types.ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
    described = [types.Tool(**tool.describe(), annotations=harmless) for tool in TOOLS]

    def result(text: str, data: dict[str, Any] | None = None) -> types.CallToolResult:
        content = [types.TextContent(type="text", text=text)]
        return types.CallToolResult(content=content, structured_content=data, is_error=data is None)

    async def list_tools(context, params) -> types.ListToolsResult:
        return types.ListToolsResult(tools=described)

    async def call_tool(context, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool, arguments = tools.get(params.name), params.arguments or {}
        if tool is None:
            return result(f"“{params.name[:80]}” is not a tool. Accepted: {', '.join(tools)}.")
        try:
            if issubclass(tool.request, ReadingRequest):
                model = arguments.get("model")
                await calls.ready(model if isinstance(model, str) else None)
            return result(*await calls.run(lambda: tool.run(calls.lab, arguments)))
        except DemoError as error:
            return result(f"{error.field}: {error}" if error.field else str(error))
        except Exception as error:  # the client gets no traceback
            report_fault(error)
            return result(str(RequestFailed()))

    return Server(
        "gpt-embedding-lab",
        title="Are GPTs good embedding models?",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
