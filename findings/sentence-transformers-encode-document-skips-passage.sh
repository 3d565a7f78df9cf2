#!/usr/bin/env bash
# sentence-transformers 6.2.0 (`SentenceTransformer.encode_document`), Python 3.11.
#
# Its documentation says that it takes the first of the prompts "document", "passage" and "corpus" that the model has. A
# model that names "passage" alone (as E5 models do) gets none: an empty "document" prompt is put into every model, which
# is always found first. So its passages are embedded without the prompt that it was trained with, and without a word.
#
# Output seen:
#   6.2.0
#   prompts: {'query': 'query: ', 'document': '', 'passage': 'passage: '}
#   equal to the passage prompt: False
#   equal to no prompt: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet "sentence-transformers==6.2.0"
"$folder/environment/bin/python" - > "$folder/output" 2>/dev/null <<'PYTHON'
from importlib.metadata import version

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer, models, pre_tokenizers

tokenizer = Tokenizer(models.WordLevel({"?": 0, "passage:": 1, "query:": 2, "text": 3}, unk_token="?"))
tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
embedding = StaticEmbedding(tokenizer, embedding_weights=np.eye(4, dtype=np.float32))
model = SentenceTransformer(
    modules=[embedding], device="cpu", prompts={"query": "query: ", "passage": "passage: "}
)
print(version("sentence-transformers"))
print("prompts:", model.prompts)
found = model.encode_document("text")
print("equal to the passage prompt:", np.array_equal(found, model.encode("text", prompt_name="passage")))
print("equal to no prompt:", np.array_equal(found, model.encode("text", prompt="")))
PYTHON
diff - "$folder/output" <<'SEEN'
6.2.0
prompts: {'query': 'query: ', 'document': '', 'passage': 'passage: '}
equal to the passage prompt: False
equal to no prompt: True
SEEN
echo "as described"
