"""Server snippet: a reading of a model that runs elsewhere as a short program of its own, with the `openai` client.

Writes Python source and runs none of it; whatever others have worded enters it as a string literal. Holds the name of
the variable that the key stands in, and never the key.
"""

from __future__ import annotations

from demo.domain.datamodels import TEXT, ModelInfo, Postprocess, Reading
from demo.export.snippet import (
    AS_SENTENCE,
    Plan,
    join_lines,
    quote,
    write_comparison,
    write_postprocess,
    write_templates,
)

_AT_ONCE = 32  # texts of a request: some servers take no more
_EMBED = """

def embed(texts{argument}):
    \"\"\"The embeddings of some texts, ({count}, {dim}).\"\"\"
    vectors = []
    for start in range(0, len(texts), {at_once}):  # some servers take no more at once
        part = {part}
        answer = client.embeddings.create(model=MODEL, input=part, encoding_format="float")
        vectors += [row.embedding for row in sorted(answer.data, key=lambda row: row.index)]
    return np.array(vectors, dtype=np.float32)"""


def render_server_snippet(reading: Reading, info: ModelInfo, url: str, key_variable: str, texts=None) -> str:
    """Python source that asks the same server for a reading's vectors. texts: (questions, answers) to stand in it."""
    plan = Plan(reading, info, "", *([texts] if texts else []))
    template = "template" if plan.differ else "TEMPLATE"
    text = "as_sentence(text)" if plan.tidies else "text"
    part = f"texts[start : start + {_AT_ONCE}]"
    if plan.worded:
        part = f'[{template}.replace("{TEXT}", {text}) for text in {part}]'

    def embed(asked: str, answered: str, both: str) -> str:
        apart = f"np.concatenate([embed({asked}, QUESTION), embed({answered}, ANSWER)])"
        return apart if plan.differ else f"embed({both})"

    on_corpus = plan.on_corpus and reading.postprocess is not Postprocess.NONE
    return join_lines(
        "# As the lab “Are GPTs good embedding models?” reads it:",
        f"# {reading.label()!r}",
        "# Gives the lab's vectors for as long as the server serves the same model under this name.",
        "# pip install openai numpy",
        "import os\n",
        "import numpy as np",
        "from openai import OpenAI",
        on_corpus and "\nfrom demo.bundled import load_reference  # the corpus comes with the lab: run this beside it",
        on_corpus and "\ncorpus = list(load_reference())",
        f"\nMODEL = {quote(info.revision)}",
        f'client = OpenAI(base_url={quote(url)}, api_key=os.environ.get("{key_variable}", "none"))',
        write_templates(plan),
        plan.tidies and AS_SENTENCE,
        _EMBED.format(
            argument=", template" * plan.differ, count="len(texts)", dim=info.dim, at_once=_AT_ONCE, part=part
        ),
        write_postprocess(plan),
        write_comparison(plan, embed),
    )
