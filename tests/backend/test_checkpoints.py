"""sentence-transformers folders: the lab's own reading of each equals the library's, or it is refused with a sentence.

The oracle loads and encodes every folder itself. No folder is read otherwise without a word.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from demo import Lab
from demo.backend.model.st_config import MODES
from demo.domain.datamodels import Pooling
from demo.domain.errors import DemoError, ReadingRefused
from demo.domain.results import LabelledSet
from demo.studies.benchmark import ReadingGrid
from tests.backend.checkpoints import SPECIAL, STRUCTURED, TASK, Folder, edit, make_tokenizer, save_base
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
    "modernbert, cls": Folder("modernbert", "both", pooling="cls", after=NORMALIZE),
    "qwen2, last token": Folder("qwen2", "after", pooling="lasttoken", after=NORMALIZE, prompts=QUERY),
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
    "chat without a template": Folder(
        "llama", template=CHAT_TEMPLATE, edits={"chat_template.jinja": ""}, refused="no chat template"
    ),
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
    """The library's vectors of questions and of answers."""
    model = SentenceTransformer(str(folder), device="cpu")
    return model, model.encode_query(STRIPPED), model.encode_document(STRIPPED)


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
        answer = model.encode(STRIPPED, prompt_name="passage")
    if name == "a default alone":
        question = answer = model.encode(STRIPPED)
    assert_close(lab.embed(STRIPPED, model=str(folder), role="question"), question)
    assert_close(lab.embed(STRIPPED, model=str(folder), role="answer"), answer)
    lab.engine.release(str(folder))


def compare(lab, folder, texts=STRIPPED):
    """The lab's own reading beside the library's, on either side."""
    model, question, answer = oracle(folder)
    assert_close(lab.embed(texts, model=str(folder), role="question"), question)
    assert_close(lab.embed(texts, model=str(folder), role="answer"), answer)
    return model


@pytest.mark.parametrize(
    ("family", "special", "side"),
    [*itertools.product(["llama"], SPECIAL, ["left", "right"]), ("bert", "both", "right")],
)
def test_a_prompt_that_is_not_pooled(lab, tmp_path, tiny_tokenizer, family, special, side):
    """Each pooling, with a prompt and without one: the prompt's tokens are left out, as the library counts them."""
    made = Folder(
        family,
        special,
        pooling="mean",
        include_prompt=False,
        prompts={"query": "Find: "},
        tokenizer={"padding_side": side},
    )
    folder = made.save(tmp_path, tiny_tokenizer)
    model = SentenceTransformer(str(folder), device="cpu")
    for name, pooling in MODES.items():
        model[1].pooling_mode = name
        for role, encode in (("question", model.encode_query), ("answer", model.encode_document)):
            asked = {"model": str(folder), "role": role, "pooling": pooling.value}
            assert_close(lab.embed(STRIPPED, **asked), encode(STRIPPED))
    prompted = [f"Topic: {text}" for text in STRIPPED]
    assert_close(
        lab.embed(STRIPPED, model=str(folder), prompt="custom", template="Topic: {text}", pooling="mean"),
        model_with(model, "mean").encode(STRIPPED, prompt="Topic: "),
    )
    assert_close(lab.embed(prompted, model=str(folder), prompt="plain"), model.encode(prompted))


def model_with(model, mode):
    model[1].pooling_mode = mode
    return model


def test_an_adapter_folder_is_read_by_its_own_modules(lab, tmp_path, tiny_tokenizer):
    """LoRA as sentence-transformers saves it: pooling, prompts, normalization and tokenizer lie beside the adapter."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModel

    base = save_base(tmp_path / "base", "llama", make_tokenizer(tiny_tokenizer))
    tuned = Folder("llama", "both", after=modules("Dense", "Normalize"), prompts=QUERY).save(tmp_path, tiny_tokenizer)
    for name in ("config.json", "model.safetensors"):
        (tuned / name).unlink()
    config = LoraConfig(task_type="FEATURE_EXTRACTION", r=4, lora_alpha=64, init_lora_weights=False)
    network = get_peft_model(AutoModel.from_pretrained(base), config)
    network.save_pretrained(tuned)
    question, answer = (lab.embed(STRIPPED, model=str(tuned), role=role) for role in ("question", "answer"))
    theirs = Folder("llama", "both", after=modules("Dense", "Normalize"), prompts=QUERY).save(
        tmp_path / "2", tiny_tokenizer
    )
    model = SentenceTransformer(str(theirs), device="cpu")
    model[0].model = network.merge_and_unload()
    assert_close(question, model.encode_query(STRIPPED))
    assert_close(answer, model.encode_document(STRIPPED))
    assert answer.shape == (len(STRIPPED), 24)


@pytest.mark.parametrize(("family", "most"), [("bert", 512), ("xlm-roberta", 511), ("mpnet", 510), ("llama", 600)])
def test_no_text_is_longer_than_the_table_of_positions(lab, tmp_path, tiny_tokenizer, family, most):
    """Some checkpoints promise more than their model holds, and the library then fails. Rotations have no table."""
    folder = Folder(family, edits={BERT: {"max_seq_length": 600}}).save(tmp_path, tiny_tokenizer)
    assert lab.open(str(folder)).max_tokens == most
    (vector,) = lab.embed(["word " * 700], model=str(folder))
    model = SentenceTransformer(str(folder), device="cpu")
    model.max_seq_length = most
    assert_close(vector, model.encode(("word " * 700).strip()))


def test_a_transformer_one_level_down(lab, tmp_path, tiny_tokenizer):
    """The layout of release 1 and 2: `0_Transformer`. What lies there names the cache entries, too."""
    folder = Folder("bert", "both", pooling="cls", prompts=QUERY).save(tmp_path, tiny_tokenizer)
    (folder / "0_Transformer").mkdir()
    for file in [path for path in folder.iterdir() if path.is_file()]:
        if file.name not in ("modules.json", "config_sentence_transformers.json"):
            file.rename(folder / "0_Transformer" / file.name)
    edit(folder / "modules.json", lambda old: [{**old[0], "path": "0_Transformer"}, *old[1:]])
    (folder / "config.json").write_text((folder / "0_Transformer" / "config.json").read_text())  # it does not count
    compare(lab, folder)
    before = lab.open(str(folder)).revision
    edit(folder / "0_Transformer" / "sentence_bert_config.json", {"max_seq_length": 9})
    lab.engine.release(str(folder))
    compare(lab, folder)
    assert lab.open(str(folder)).revision != before


def test_modules_in_folders_of_any_name_count_for_the_revision(lab, tmp_path, tiny_tokenizer):
    folder = Folder(after=modules("Dense")).save(tmp_path, tiny_tokenizer)
    (folder / "2_Dense").rename(folder / "mapping")
    edit(folder / "modules.json", lambda old: [*old[:2], {**old[2], "path": "mapping"}])
    compare(lab, folder)
    before = lab.open(str(folder)).revision
    edit(folder / "mapping" / "config.json", {"activation_function": "torch.nn.modules.activation.ReLU"})
    lab.engine.release(str(folder))
    compare(lab, folder)
    assert lab.open(str(folder)).revision != before


def test_weights_of_modules_that_are_pickled_damaged_or_of_another_shape(lab, tmp_path, tiny_tokenizer):
    import torch

    folder = Folder(after=modules("Dense")).save(tmp_path, tiny_tokenizer)
    weights = folder / "2_Dense" / "model.safetensors"
    for spoil, words in (
        (lambda: edit(folder / "2_Dense" / "config.json", {"out_features": 10**12}), "do not fit"),
        (lambda: edit(folder / "2_Dense" / "config.json", {"out_features": 24, "use_residual": True}), "do not fit"),
        (lambda: weights.write_bytes(weights.read_bytes()[:100]), "do not fit"),
        (weights.unlink, "missing"),
        (lambda: torch.save({}, weights.with_name("pytorch_model.bin")), "pickled"),
    ):
        spoil()
        with pytest.raises(DemoError, match=words):
            lab.open(str(folder))


def test_another_pooling_says_what_it_leaves_out(lab, tmp_path, tiny_tokenizer):
    folder = str(Folder(after=modules("Dense", "Normalize")).save(tmp_path, tiny_tokenizer))
    own = lab.compare(["a"], ["b", "c"], model=folder)
    assert own.reading.pooling is Pooling.OWN
    assert not any("leaves" in notice for notice in own.notices)
    states = lab.compare(["a"], ["b", "c"], model=folder, pooling="mean", layer=2)
    assert any("leaves the checkpoint's own modules out: mean → Dense → Normalize" in n for n in states.notices)
    with pytest.raises(ReadingRefused, match="last layer"):
        lab.embed(["a"], model=folder, layer=2)
    with pytest.raises(ReadingRefused, match="no modules"):
        lab.embed(["a"], model=str(Folder().save(tmp_path / "plain", tiny_tokenizer)), pooling="own")


def test_the_studies_take_the_own_pooling(lab, tmp_path, tiny_tokenizer):
    """A sweep and a benchmark read it at the last layer, an explanation without each token; a training refuses it."""
    folder = str(Folder("llama", after=modules("Dense", "Normalize"), prompts=QUERY).save(tmp_path, tiny_tokenizer))
    pairs = tuple(itertools.product(range(3), range(3)))
    labelled = LabelledSet(
        "a test", tuple(STRIPPED[:3]), tuple(STRIPPED[3:6]), pairs, tuple(float(i == j) for i, j in pairs)
    )
    sweep = lab.sweep(labelled=labelled, model=folder, prompts=["own"])
    assert sweep.poolings[-1] is Pooling.OWN
    assert np.isfinite(sweep.metrics["auc"][:, -1, :, -1]).all()
    assert np.isnan(sweep.metrics["auc"][:, -1, :, :-1]).all()
    rows = list(lab.benchmark([labelled], [ReadingGrid(folder)]))
    assert {row.reading.pooling for row in rows if row.reading} == {Pooling.OWN}
    explained = lab.explain(["What is GPU?"], ["A chip."], 0, 0, model=folder)
    assert explained.method == "leave_one_out"
    assert explained.question_top_tokens == ()


@pytest.mark.parametrize("pooling", ["mean", "weighted_mean", "max"])
def test_shares_of_the_pooled_tokens_add_up_to_the_cosine(lab, tmp_path, tiny_tokenizer, pooling):
    """The prompt's tokens have no share; the weights of the others count from the first token of all."""
    made = Folder("bert", "both", include_prompt=False, prompts=QUERY)
    folder = str(made.save(tmp_path, tiny_tokenizer))
    explained = lab.explain(["What is GPU?"], ["A chip."], 0, 0, model=folder, pooling=pooling)
    assert explained.question_shares[: explained.question.pooled[0]].tolist() == [0] * explained.question.pooled[0]
    assert explained.question.pooled[0] > 1
    for shares in (explained.question_shares, explained.answer_shares):
        assert shares.sum() == pytest.approx(explained.cosine, abs=1e-5)


EXPORTED = {
    "modules": Folder(
        before=weighted_layers(),
        pooling=["max", "mean"],
        after=modules("LayerNorm", "Dense", "Normalize"),
        config={"output_hidden_states": False},
        prompts=QUERY,
        truncate=9,
    ),
    "weighted layers": Folder(before=weighted_layers(), config={"output_hidden_states": True}, after=NORMALIZE),
    "a structured chat": Folder(
        "llama", template=STRUCTURED, prompts=QUERY, pooling=["mean", "lasttoken"], special="both", after=NORMALIZE
    ),
    "chat options": Folder(
        "llama", template=TASK, transformer={"processing_kwargs": {"chat_template": {"add_generation_prompt": True}}}
    ),
    "a prompt that is not pooled": Folder("bert", "both", include_prompt=False, prompts=QUERY, pooling="weightedmean"),
    "lower case, not causal": Folder(
        "llama", "both", edits={BERT: {"do_lower_case": True, "config_args": {"is_causal": False}}}, after=NORMALIZE
    ),
}


@pytest.mark.parametrize("name", EXPORTED)
def test_an_export_of_the_own_reading_is_read_alike_by_both(lab, tmp_path, tiny_tokenizer, name):
    folder = EXPORTED[name].save(tmp_path, tiny_tokenizer)
    lab.export(tmp_path / "out", model=str(folder))
    compare(lab, tmp_path / "out")
    for role in ("question", "answer"):
        again, before = (lab.embed(STRIPPED, model=str(one), role=role) for one in (tmp_path / "out", folder))
        assert_close(again, before)
