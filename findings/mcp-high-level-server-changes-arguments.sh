#!/usr/bin/env bash
# mcp 2.3.0, `MCPServer` (the protocol package's high-level server), Python 3.11.
#
# A tool made from a typed function does not see the arguments that the client sent:
# 1. An argument whose name the tool does not have is dropped without a word. A client that misspells `pooling` gets the
#    default pooling and no error; the tool's schema does not say `additionalProperties: false` either.
# 2. Where a parameter takes a text or a list of texts, a text that looks like a JSON list arrives as the list: one text
#    to embed becomes two.
#
# Output seen:
#   2.3.0
#   misspelt: a by mean
#   schema forbids others: False
#   one text: ['a', 'b']
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet "mcp==2.3.0"
"$folder/environment/bin/python" - > "$folder/output" <<'PYTHON'
import asyncio
from importlib.metadata import version

from mcp.server import MCPServer

server = MCPServer("probe")


@server.tool()
def embed(text: str, pooling: str = "mean") -> str:
    return f"{text} by {pooling}"


@server.tool()
def count(texts: str | list[str]) -> str:
    return repr(texts)


async def main() -> None:
    print(version("mcp"))
    answer = await server.call_tool("embed", {"text": "a", "poolng": "max"})
    print("misspelt:", answer.content[0].text)
    tools = {tool.name: tool for tool in await server.list_tools()}
    print("schema forbids others:", tools["embed"].input_schema.get("additionalProperties") is False)
    answer = await server.call_tool("count", {"texts": '["a", "b"]'})
    print("one text:", answer.content[0].text)


asyncio.run(main())
PYTHON
diff - "$folder/output" <<'SEEN'
2.3.0
misspelt: a by mean
schema forbids others: False
one text: ['a', 'b']
SEEN
echo "as described"
