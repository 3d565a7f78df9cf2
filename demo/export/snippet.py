"""Snippet: a reading as a short program of its own, in plain transformers or in sentence-transformers.

Writes Python source and runs none of it. What a person or a checkpoint has worded (templates, tasks, names, paths)
enters the source as a string literal that `repr` wrote. Knows no lab and no backend.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from demo.domain.datamodels import (
    LAST_LAYER,
    TEXT,
    ModelInfo,
    Pooling,
    Postprocess,
    PromptedText,
    Reading,
    Reference,
    Role,
)
from demo.domain.errors import ReadingRefused, UnknownChoice
from demo.stages.prompts import render_prompt

TRANSFORMERS, SENTENCE_TRANSFORMERS = LIBRARIES = ("transformers", "sentence-transformers")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_POOLED = {  # in NumPy, and by sentence-transformers' name
    Pooling.LAST_TOKEN: ("states[-1]", "lasttoken"),
    Pooling.FIRST_TOKEN: ("states[0]", "cls"),
    Pooling.MEAN: ("states.mean(axis=0)", "mean"),
    Pooling.WEIGHTED_MEAN: ("np.average(states, axis=0, weights=np.arange(1, len(states) + 1))", "weightedmean"),
    Pooling.MAX: ("states.max(axis=0)", "max"),
    Pooling.MEAN_SQRT_LEN: ("states.sum(axis=0) / len(states) ** 0.5", "mean_sqrt_len_tokens"),
    Pooling.LAST_TOKEN_LOGITS: ("states[-1]", ""),  # the states are logits
}
_POSTPROCESSED = {
    Postprocess.CENTER: "    return vectors - mean",
    Postprocess.ZSCORE: """\
    deviation = reference.std(axis=0)
    known = deviation > 1e-6 * max(deviation.max(), 1e-12)
    return np.where(known, (vectors - mean) / np.where(known, deviation, 1.0), 0.0)""",
    Postprocess.ALL_BUT_THE_TOP: """\
    count = max(1, round(reference.shape[1] / 100))
    top = np.linalg.svd(reference - mean, full_matrices=False)[2][:count]
    return (vectors - mean) - (vectors - mean) @ top.T @ top""",
    Postprocess.WHITENING: """\
    _, singular, directions = np.linalg.svd(reference - mean, full_matrices=False)
    kept = singular > 1e-3 * max(singular[0], 1e-12)
    return (vectors - mean) @ directions[kept].T / (singular[kept] / np.sqrt(len(reference)))""",
    Postprocess.SOFT_WHITENING: """\
    deviation = reference.std(axis=0)
    deviation[deviation <= 1e-6 * max(deviation.max(), 1e-12)] = np.inf
    _, singular, directions = np.linalg.svd((reference - mean) / deviation, full_matrices=False)
    scored, toned_down = (vectors - mean) / deviation, 1 - 1 / np.sqrt(singular**2 / len(reference) + 1)
    return scored - (scored @ directions.T * toned_down) @ directions""",
}
AS_SENTENCE = '''

def as_sentence(text):
    """PromptEOL's tidying: a full stop at the end, no double quotes inside the double quotes."""
    text = text.replace('"', "'")
    if text.endswith("?"):
        return text[:-1] + "."
    return text if text.endswith((".", "'")) else text + "."'''
_PREPENDING = """
    def see_the_end(block, args):
        states = args[0].clone()
        states[:, place] = states[:, -1]  # token prepending: the last token has seen the whole text
        return states, *args[1:]

    hooks = [block.register_forward_pre_hook(see_the_end) for block in blocks[1:8]]"""
_PADDING = """\
tokenizer = transformer.tokenizer
tokenizer.padding_side, tokenizer.pad_token = "right", tokenizer.pad_token or tokenizer.eos_token"""
_TEXTS = ("Where is the headquarter of OpenAI?", "What is GPU?"), ("In San Francisco.", "A graphics processor.")
_COSINE = """\
unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
print(unit[: len(questions)] @ unit[len(questions) :].T)  # cosine: a row a question, a column an answer
"""


def render_snippet(reading: Reading, info: ModelInfo, library: str, source: str, texts=_TEXTS) -> str:
    """Python source that computes the vectors of a reading, within the rounding of its precision.

    library: one of LIBRARIES. source: see `name_source`. texts: (questions, answers). Raises ReadingRefused for what
    the library cannot say or no program of its own can do; UnknownChoice for another library.
    """
    if library not in LIBRARIES:
        raise UnknownChoice(field="library", value=str(library)[:80], kind="library", accepted=", ".join(LIBRARIES))
    plan = Plan(reading, info, source, texts)
    _raise_for(_obstacle(plan, encode=library == SENTENCE_TRANSFORMERS), info)
    return (_write_transformers if library == TRANSFORMERS else _write_sentence_transformers)(plan)


def name_source(info: ModelInfo, hub_id: str = "", revision: str = "") -> str:
    """What a script is to load: `id@commit` for weights of the Hub, else the folder that was named.

    hub_id, revision: the catalogue's, for a model that is listed there.
    """
    if _COMMIT.fullmatch(info.revision):
        return f"{hub_id or info.model}@{info.revision}"
    return f"{hub_id}@{revision}" if hub_id else info.base or info.model


def can_export(reading: Reading, info: ModelInfo) -> str:
    """Why a sentence-transformers folder cannot hold this reading, in words; "" where it can."""
    obstacle = _obstacle(Plan(reading, info), encode=True, folder=True)
    return obstacle[1] if obstacle else ""


def export_prompts(reading: Reading, info: ModelInfo) -> dict[str, str]:
    """What such a folder writes before a "query" and a "document". Raises ReadingRefused with `can_export`'s reason."""
    plan = Plan(reading, info)
    _raise_for(_obstacle(plan, encode=True, folder=True), info)
    return plan.prefixes


@dataclass(frozen=True)
class Plan:
    """What the writers need to know of a reading."""

    reading: Reading
    info: ModelInfo
    source: str = ""
    texts: tuple[tuple[str, ...], tuple[str, ...]] = _TEXTS  # questions, answers

    @property
    def frames(self) -> dict[Role, PromptedText]:
        """What is written around the text "text" on either side."""
        frames = {role: render_prompt("text", self.reading, role, self.info) for role in Role}
        if self.info.pool_text_only:
            frames = {role: replace(frame, pool_text_only=True) for role, frame in frames.items()}
        return frames

    @property
    def frame(self) -> PromptedText:
        """Either side's, where they do not differ or only in the words of the template."""
        return self.frames[Role.ANSWER]

    @property
    def differ(self) -> bool:
        """Whether questions and answers are prompted in different words."""
        return len({frame.template for frame in self.frames.values()}) > 1

    @property
    def worded(self) -> bool:
        """Whether words are written around a text, a chat template's aside."""
        return any(frame.template != TEXT for frame in self.frames.values())

    @property
    def tidies(self) -> bool:
        """Whether the prompt changes the text itself."""
        return self.frame.text != "text"

    @property
    def is_prefix(self) -> bool:
        """Whether the words of the prompt, if any, all stand before the text."""
        templates = [frame.template for frame in self.frames.values()]
        return not self.tidies and all(t.endswith(TEXT) and t.count(TEXT) == 1 for t in templates)

    @property
    def prefixes(self) -> dict[str, str]:
        return {
            side: self.frames[role].template.removesuffix(TEXT)
            for side, role in (("query", Role.QUESTION), ("document", Role.ANSWER))
        }

    @property
    def last_layer(self) -> bool:
        return self.reading.layer in (LAST_LAYER, self.info.n_layers)

    @property
    def on_corpus(self) -> bool:
        return self.reading.postprocess is not Postprocess.NONE and self.reading.reference is Reference.CORPUS

    @property
    def logits(self) -> bool:
        return self.reading.pooling is Pooling.LAST_TOKEN_LOGITS

    @property
    def origin(self) -> tuple[str, str]:
        """(Hub id or folder, commit or "")."""
        name, _, commit = self.source.rpartition("@")
        return (name, commit) if _COMMIT.fullmatch(commit) else (self.source, "")


def _obstacle(plan: Plan, encode: bool, folder: bool = False) -> tuple[str, str] | None:
    """(field, reason) for what no script can do; encode: nor sentence-transformers; folder: nor a folder of its."""
    chat, fitted = plan.frame.chat, plan.reading.postprocess is not Postprocess.NONE
    rules = [
        (plan.logits and not plan.info.has_lm_head, "pooling", "its checkpoint has no LM head, so it has no logits."),
        (chat and not plan.info.has_chat_template, "prompt", "its tokenizer has no chat template."),
        (plan.source.endswith(".gguf"), "model", "a GGUF file is converted by the lab; a script needs safetensors."),
        (plan.info.projected, "model", "it is a model with a linear map inside, which only the lab can put together."),
    ]
    if encode:
        rules += [
            (not plan.last_layer, "layer", "sentence-transformers reads the last layer only."),
            (plan.logits, "pooling", "sentence-transformers pools hidden states, not the logits of an LM head."),
            (plan.frame.placeholder, "prompt", "sentence-transformers cannot change states inside the model."),
            (plan.frame.pool_text_only, "prompt", "sentence-transformers cannot pool the text without its prompt."),
            (plan.info.adapter and not folder, "model", "a script puts an adapter onto a model in transformers only."),
            (plan.reading.eos, "eos", "sentence-transformers cannot append the EOS token."),
        ]
    if folder:
        rules += [
            (not plan.is_prefix, "prompt", "a sentence-transformers folder can only hold what stands before a text."),
            (fitted, "postprocess", "a sentence-transformers folder can hold no post-processing."),
        ]
    return next(((field, reason) for applies, field, reason in rules if applies), None)


def _raise_for(obstacle: tuple[str, str] | None, info: ModelInfo) -> None:
    if obstacle:
        raise ReadingRefused(field=obstacle[0], model=info.name, reason=obstacle[1])


def _write_transformers(plan: Plan) -> str:
    info, layer = plan.info, plan.reading.layer
    auto = "AutoModelForCausalLM" if plan.logits or info.adapter else "AutoModel"
    pinned = ", revision=REVISION" * bool(plan.origin[1])
    eager = ', attn_implementation="eager"' * (info.precision != "float32")
    lens = plan.logits and not plan.last_layer
    stack = f"isinstance(part, torch.nn.ModuleList) and len(part) == {info.n_layers}"

    def embed(asked: str, answered: str, both: str) -> str:
        if plan.differ:
            return f"np.stack([embed(t, QUESTION) for t in {asked}] + [embed(t, ANSWER) for t in {answered}])"
        return f"np.stack([embed(text) for text in {both}])"

    return join_lines(
        _opening(plan, "torch transformers numpy" + " peft" * bool(info.adapter)),
        "import numpy as np",
        "import torch",
        info.adapter and "from peft import PeftModel",
        f"from transformers import {auto}, AutoTokenizer\n",
        _origin(plan),
        f"tokenizer = AutoTokenizer.from_pretrained(SOURCE{pinned})",
        f"model = {auto}.from_pretrained(SOURCE{pinned}, dtype=torch.{info.precision}{eager})",
        info.adapter and f"model = PeftModel.from_pretrained(model, {quote(info.adapter)}).merge_and_unload()",
        info.adapter and not plan.logits and "model = model.base_model  # the states, without the LM head",
        "model.eval()" + '.to("cuda" if torch.cuda.is_available() else "cpu")' * (not info.device.startswith("CPU")),
        (lens or plan.frame.placeholder) and f"blocks = next(part for part in model.modules() if {stack})",
        lens and f"del blocks[{layer}:]  # the logit lens: the final norm and the LM head right after layer {layer}",
        write_templates(plan),
        plan.tidies and AS_SENTENCE,
        _embed_function(plan),
        write_postprocess(plan),
        write_comparison(plan, embed),
    )


def _embed_function(plan: Plan) -> str:
    """One text → its vector."""
    reading, info, frame = plan.reading, plan.info, plan.frame
    template = "template" if plan.differ else "TEMPLATE"
    dim = info.vocab_size if plan.logits else info.dim
    spans = frame.pool_text_only or frame.placeholder
    cuts = plan.is_prefix and not frame.chat
    options = ", add_special_tokens=False" * frame.chat + ", return_offsets_mapping=True" * spans
    options += f", truncation=True, max_length={info.max_tokens - reading.eos}" * cuts
    start = f'len({template}.rpartition("{TEXT}")[0].replace("{TEXT}", text))' if plan.worded else "0"
    place = "next(i for i, (_, right) in enumerate(offsets) if right >= start)"
    inside = "max(left, start) < min(right, start + len(text))"
    span = ("[own[0] :]" if reading.eos else "[own[0] : own[-1] + 1]") * frame.pool_text_only
    states = f"model(inputs, output_hidden_states=True).hidden_states[{reading.layer}][0]"
    states = "model(inputs).last_hidden_state[0]" if plan.last_layer else states
    states = "model(inputs).logits[0]" if plan.logits else states
    message = 'tokenizer.apply_chat_template([{"role": "user", "content": text}], tokenize=False)'
    return join_lines(
        "\n\n@torch.inference_mode()",
        f"def embed(text{', template' * plan.differ}):",
        f'    """The embedding of one text, ({dim},)."""',
        plan.tidies and "    text = as_sentence(text)",
        frame.chat and f"    prompted = {message}",
        plan.worded and f'    prompted = {template}.replace("{TEXT}", text)',
        not cuts and f"    # The lab cuts a text that makes this longer than {info.max_tokens} tokens; this does not.",
        f"    encoded = tokenizer({'prompted' if frame.chat or plan.worded else 'text'}{options})",
        '    ids = list(encoded["input_ids"])',
        spans and '    offsets = list(encoded["offset_mapping"])',
        spans and f"    start = {'prompted.rfind(text)' if frame.chat else start}  # where the text itself stands",
        reading.eos and "    if ids[-1:] != [tokenizer.eos_token_id]:\n        ids.append(tokenizer.eos_token_id)",
        frame.placeholder and f"    place = {place}  # before the opening quote",
        frame.placeholder and "    ids.insert(place, tokenizer.eos_token_id)\n    offsets.insert(place, (0, 0))",
        frame.pool_text_only and f"    own = [i for i, (left, right) in enumerate(offsets) if {inside}]",
        frame.placeholder and _PREPENDING,
        "    inputs = torch.tensor([ids], device=model.device)",
        f"    states = {states}{span}.float().cpu().numpy()",
        frame.placeholder and "    for hook in hooks:\n        hook.remove()",
        f"    {'vector =' if reading.normalize else 'return'} {_POOLED[reading.pooling][0]}",
        reading.normalize and "    return vector / max(np.linalg.norm(vector), 1e-12)",
    )


def _write_sentence_transformers(plan: Plan) -> str:
    reading, info, chat = plan.reading, plan.info, plan.frame.chat
    pinned = '"revision": REVISION' * bool(plan.origin[1])
    precision = f'"dtype": "{info.precision}"' + ', "attn_implementation": "eager"' * (info.precision != "float32")
    forward = '"method": "forward", "method_output_name": "last_hidden_state"'
    prefixes = plan.is_prefix and plan.worded
    prompts = ", ".join(f'"{side}": {quote(text)}' for side, text in plan.prefixes.items())
    text = "as_sentence(text)" if plan.tidies else "text"

    def embed(asked: str, answered: str, both: str) -> str:
        if prefixes:
            return f"np.concatenate([model.encode_query({asked}), model.encode_document({answered})])"
        each = both if plan.is_prefix else f'[TEMPLATE.replace("{TEXT}", {text}) for text in {both}]'
        return f"model.encode({each})"

    return join_lines(
        _opening(plan, '"sentence-transformers>=6"'),
        "import numpy as np",
        "from sentence_transformers import SentenceTransformer",
        "from sentence_transformers.sentence_transformer.modules import "
        f"{'Normalize, ' * reading.normalize}Pooling, Transformer\n",
        _origin(plan),
        "transformer = Transformer(\n    SOURCE,",
        f"    max_seq_length={info.max_tokens},",
        f"    model_kwargs={{{f'{pinned}, ' * bool(pinned)}{precision}}},",
        pinned and f"    config_kwargs={{{pinned}}},\n    processor_kwargs={{{pinned}}},",
        # It applies a chat template wherever it finds one, unless it is told what it is to read.
        info.has_chat_template and f'    modality_config={{\n        "text": {{{forward}}},',
        chat and f'        "message": {{{forward}, "format": "flat"}},',
        info.has_chat_template and '    },\n    module_output_name="token_embeddings",',
        ")",
        info.kind.value != "encoder" and _PADDING,
        f'pooling = Pooling(transformer.get_embedding_dimension(), "{_POOLED[reading.pooling][1]}")',
        prefixes and f"PROMPTS = {{{prompts}}}",
        f"model = SentenceTransformer(modules=[transformer, pooling{', Normalize()' * reading.normalize}]"
        f"{', prompts=PROMPTS' * prefixes})",
        not plan.is_prefix and write_templates(plan),
        plan.tidies and AS_SENTENCE,
        write_postprocess(plan),
        write_comparison(plan, embed),
    )


def _opening(plan: Plan, packages: str) -> str:
    """The comment that a script begins with."""
    info, commit = plan.info, plan.origin[1]
    other = commit and commit != info.revision
    return join_lines(
        "# As the lab “Are GPTs good embedding models?” reads it:",
        f"# {plan.reading.label()!r}",
        other and f"# The lab had {info.weights_precision!r} weights of {info.source!r}; these are the original ones.",
        not other and f"# Gives the lab's vectors, within the rounding of {info.precision}.",
        f"# pip install {packages}",
    )


def _origin(plan: Plan) -> str:
    name, commit = plan.origin
    return join_lines(
        plan.on_corpus
        and "from demo.bundled import load_reference  # the corpus comes with the lab: run this beside it",
        plan.on_corpus and "\ncorpus = list(load_reference())",
        f"SOURCE = {quote(name)}",
        commit and f"REVISION = {quote(commit)}",
    )


def write_templates(plan: Plan) -> str:
    """What is written around the texts, as constants."""
    if plan.differ:
        return join_lines(*(f"{role.name} = {quote(plan.frames[role].template)}" for role in Role))
    return f"TEMPLATE = {quote(plan.frame.template)}" * plan.worded


def write_postprocess(plan: Plan) -> str:
    """The function `postprocess`, or ""."""
    method = plan.reading.postprocess
    if method is Postprocess.NONE:
        return ""
    return join_lines(
        "\n\ndef postprocess(vectors, reference):",
        f'    """{method.value}, fitted on the reference vectors; a text that stands twice counts once."""',
        "    reference = np.unique(reference, axis=0).astype(np.float64)",
        "    mean = reference.mean(axis=0)",
        _POSTPROCESSED[method],
    )


def write_comparison(plan: Plan, embed: Callable[[str, str, str], str]) -> str:
    """What is done with some texts. embed: the names of questions, answers and both → what embeds them."""
    fitted = plan.reading.postprocess is not Postprocess.NONE
    return join_lines(
        "\n",
        *(_list(name, texts) for name, texts in zip(("questions", "answers"), plan.texts, strict=True)),
        f"vectors = {embed('questions', 'answers', 'questions + answers')}",
        fitted and f"reference = {embed('corpus', 'corpus', 'corpus') if plan.on_corpus else 'vectors'}",
        fitted and "vectors = postprocess(vectors, reference)",
        _COSINE,
    )


def join_lines(*lines: str | bool) -> str:
    """What is not false or empty, line by line."""
    return "\n".join(line for line in lines if line)


def _list(name: str, texts: tuple[str, ...]) -> str:
    return f"{name} = [\n" + "".join(f"    {quote(text)},\n" for text in texts) + "]"


def quote(text: str) -> str:
    """A string literal, in double quotes where the text has none."""
    literal = repr(text)
    return literal if '"' in literal else f'"{literal[1:-1]}"'
