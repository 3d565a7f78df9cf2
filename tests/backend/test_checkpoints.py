"""sentence-transformers folders: the lab's own reading of each equals the library's, or it is refused with a sentence.

The oracle loads and encodes every folder itself. No folder is read otherwise without a word.
"""

from __future__ import annotations

import numpy as np
import pytest

from demo import Lab
from demo.domain.errors import DemoError
from tests.backend.checkpoints import STRUCTURED, TASK, Folder
from tests.conftest import CHAT_TEMPLATE, TEXTS

STRIPPED = [text.strip() for text in TEXTS]  # as the lab takes them
QUERY = {"query": "Find this: ", "document": "A text: "}


def dense(*sizes, **options):
    def make(dim):
        from sentence_transformers.sentence_transformer.modules import Dense

        widths = [dim, *sizes]
        return [Dense(a, b, **options) for a, b in zip(widths, sizes, strict=False)]

    return make


def modules(*names):
    """Modules after the pooling by name; Dense to 24."""

    def make(dim):
        import sentence_transformers.sentence_transformer.modules as theirs

        made = []
        for name in names:
            if name == "Dense":
                made.append(theirs.Dense(dim, 24))
                dim = 24
            elif name == "LayerNorm":
                made.append(theirs.LayerNorm(dim))
                made[-1].norm.weight.data.uniform_(0.5, 2.0)
            else:
                made.append(getattr(theirs, name)())
        return made

    return make


def weighted_layers(start=1):
    def make(dim):
        from sentence_transformers.sentence_transformer.modules import WeightedLayerPooling

        made = WeightedLayerPooling(dim, num_hidden_layers=4, layer_start=start)
        made.layer_weights.data.uniform_(0.1, 1.0)
        return [made]

    return make


def activation(name):
    import torch

    return getattr(torch.nn, name)()


NORMALIZE = modules("Normalize")
OWN = "config_sentence_transformers.json"
BERT = "sentence_bert_config.json"
FOLDERS = {
    # architectures × poolings
    "bert, cls, normalized": Folder("bert", "both", pooling="cls", after=NORMALIZE),
    "xlm-roberta, mean": Folder("xlm-roberta", "both", after=NORMALIZE, prompts=QUERY),
    "mpnet, mean": Folder("mpnet", "both", after=NORMALIZE),
    "distilbert, max": Folder("distilbert", "both", pooling="max"),
    "llama, last token": Folder("llama", "after", pooling="lasttoken", after=NORMALIZE, prompts=QUERY),
    "qwen3, last token, padded left": Folder(
        "qwen3", "after", pooling="lasttoken", prompts=QUERY, tokenizer={"padding_side": "left"}
    ),
    "gemma3, mean, Dense twice, normalized": Folder(
        "gemma3_text", "both", prompts=QUERY, after=lambda dim: [*dense(48, 16, bias=False)(dim), *NORMALIZE(16)]
    ),
    "gemma3, bidirectional": Folder("gemma3_text", "before", config={"use_bidirectional_attention": True}),
    "llama, not causal": Folder("llama", "before", config={"is_causal": False}),
    "mistral, weighted mean": Folder("mistral", "before", pooling="weightedmean"),
    "gpt2, mean over the root": Folder("gpt2", pooling="mean_sqrt_len_tokens", prompts=QUERY),
    # modules
    "all modes joined": Folder(
        pooling=["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"], special="both"
    ),
    "modes joined, Dense, normalized": Folder(pooling=["mean", "max"], after=modules("Dense", "Normalize")),
    "LayerNorm and Dropout": Folder(after=modules("LayerNorm", "Dropout")),
    "normalized twice around Dense": Folder(after=modules("Normalize", "Dense", "Normalize")),
    "Dropout alone": Folder(after=modules("Dropout", "Normalize")),
    "Dense with a residual": Folder(after=dense(20, 20, use_residual=True)),
    "Dense through GELU": Folder(after=lambda dim: dense(8, activation_function=activation("GELU"))(dim)),
    "Dense through Identity": Folder(after=lambda dim: dense(8, activation_function=activation("Identity"))(dim)),
    "truncated": Folder(after=NORMALIZE, truncate=12),
    "weighted layers": Folder(
        before=weighted_layers(), pooling=["mean", "cls"], config={"output_hidden_states": True}, after=NORMALIZE
    ),
    "weighted layers that the config does not give": Folder(before=weighted_layers(), notice="does nothing"),
    "weighted layers, max": Folder(
        before=weighted_layers(), pooling="max", config={"output_hidden_states": True}, refused="max pooling"
    ),
    # chat messages
    "chat": Folder("llama", template=CHAT_TEMPLATE, pooling="lasttoken", after=NORMALIZE),
    "chat with prompts": Folder("qwen3", template=CHAT_TEMPLATE, prompts=QUERY),
    "chat, structured": Folder("llama", template=STRUCTURED, prompts=QUERY, pooling="lasttoken"),
    "chat that names its task": Folder("llama", template=TASK, pooling="lasttoken"),
    "chat with a generation prompt": Folder(
        "llama",
        template=TASK,
        prompts=QUERY,
        pooling="lasttoken",
        transformer={"processing_kwargs": {"chat_template": {"add_generation_prompt": True}}},
    ),
    "chat cut": Folder("llama", template=CHAT_TEMPLATE, prompts=QUERY, transformer={"max_seq_length": 44}),
    "chat, prompts not included": Folder("llama", template=CHAT_TEMPLATE, prompts=QUERY, include_prompt=False),
    "a chat template that is not used": Folder(
        "llama", template=CHAT_TEMPLATE, edits={BERT: {"modality_config": None, "module_output_name": None}}
    ),
    # prompts
    "only a query": Folder("bert", "both", prompts={"query": "Q: "}, default="query"),
    "query and passage": Folder(
        edits={OWN: {"prompts": {"query": "query: ", "passage": "passage: "}}}, notice="passage"
    ),
    "a default alone": Folder(prompts={"sts": "STS: "}, default="sts", notice="default prompt"),
    "names that no side has": Folder(prompts={"sts": "STS: ", "bitext": "B: "}, notice="none for questions"),
    "no default of that name": Folder(edits={OWN: {"default_prompt_name": "x"}}, refused="not among its prompts"),
    "a prompt of null": Folder(edits={OWN: {"prompts": {"query": None, "document": "D: "}}}),
    "another similarity": Folder(similarity="dot", notice="cosine"),
    # the tokenizer
    "lower case": Folder("bert", "both", edits={BERT: {"do_lower_case": True, "max_seq_length": 20}}),
    "truncated on the left": Folder(
        "llama",
        "after",
        pooling="lasttoken",
        prompts=QUERY,
        tokenizer={"truncation_side": "left", "model_max_length": 16},
    ),
    "a length of 16": Folder("bert", "both", prompts=QUERY, transformer={"max_seq_length": 16}),
    "tokenizer_args": Folder(
        "llama", edits={BERT: {"tokenizer_args": {"model_max_length": 9, "padding_side": "left"}}}
    ),
    "config_args": Folder("llama", edits={BERT: {"config_args": {"is_causal": False}}}),
    "model_args": Folder(
        "llama", edits={BERT: {"model_args": {"torch_dtype": "float32", "attn_implementation": "eager"}}}
    ),
    # older layouts
    "flags": Folder(
        edits={"1_Pooling/config.json": '{"word_embedding_dimension": 32, "pooling_mode_cls_token": true}'},
        special="both",
    ),
    "flags, all false": Folder(
        edits={"1_Pooling/config.json": '{"word_embedding_dimension": 32, "pooling_mode_cls_token": false}'},
        special="both",
    ),
    "class names of release 2": Folder(
        special="both",
        pooling="cls",
        after=modules("Dense", "Normalize"),
        edits={
            "modules.json": lambda old: [
                {**module, "type": f"sentence_transformers.models.{module['type'].rsplit('.', 1)[-1]}"}
                for module in old
            ]
        },
    ),
    "roberta's config name": Folder(
        "xlm-roberta", "both", edits={BERT: "{}", "sentence_roberta_config.json": '{"max_seq_length": 12}'}
    ),
    # refused
    "query_length": Folder(edits={BERT: {"query_length": 8}}, refused="query_length"),
    "processing of texts": Folder(
        edits={BERT: {"processing_kwargs": {"text": {"add_special_tokens": False}}}}, refused="text"
    ),
    "another output": Folder(
        edits={BERT: {"modality_config": {"text": {"method": "forward", "method_output_name": ["hidden_states", 2]}}}},
        refused="modality_config",
    ),
    "a setting that nobody knows": Folder(edits={BERT: {"surprise": 1}}, refused="surprise"),
    "a class of its own": Folder(
        edits={"modules.json": lambda old: [old[0], {**old[1], "type": "custom_st.Pooling"}]}, refused="run code"
    ),
    "a path outside": Folder(
        edits={"modules.json": lambda old: [old[0], {**old[1], "path": "../elsewhere"}]}, refused="outside"
    ),
    "an activation of its own": Folder(
        after=modules("Dense"), edits={"2_Dense/config.json": {"activation_function": "mine.Act"}}, refused="activation"
    ),
    "Dense on the tokens": Folder(
        before=lambda dim: dense(dim, module_input_name="token_embeddings")(dim), refused="Dense"
    ),
    "damaged modules": Folder(edits={"modules.json": "{"}, refused="modules.json"),
    "a sparse encoder": Folder(edits={OWN: {"model_type": "SparseEncoder"}}, refused="SparseEncoder"),
    "a key that nobody knows": Folder(edits={OWN: {"surprise": 1}}, notice="surprise"),
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the models are tiny
    cache = tmp_path_factory.mktemp("cache")
    yield Lab(device="cpu", dtype="float32", cache_dir=cache, public=False, memory_gb=4, disk_cache_mb=0)
    torch.set_num_threads(threads)


def oracle(folder):
    """The library's vectors of questions and of answers, one text at a time."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    return model, model.encode_query(STRIPPED, batch_size=1), model.encode_document(STRIPPED, batch_size=1)


def assert_close(found, expected):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5 * max(1.0, float(np.abs(expected).max())))


@pytest.mark.parametrize("name", FOLDERS)
def test_the_own_reading_is_the_librarys_or_refused(lab, tmp_path, tiny_tokenizer, name):
    made = FOLDERS[name]
    folder = made.save(tmp_path, tiny_tokenizer)
    if made.refused:
        with pytest.raises(DemoError, match=made.refused):
            lab.open(str(folder))
        return
    info = lab.open(str(folder))
    assert made.notice in " ".join(info.notices), info.notices
    model, question, answer = oracle(folder)
    if name == "query and passage":  # encode_document is documented to write it, and does not
        answer = model.encode(STRIPPED, prompt_name="passage", batch_size=1)
    if name == "a default alone":
        question = answer = model.encode(STRIPPED, batch_size=1)
    assert_close(lab.embed(STRIPPED, model=str(folder), role="question"), question)
    assert_close(lab.embed(STRIPPED, model=str(folder), role="answer"), answer)
    lab.engine.release(str(folder))
