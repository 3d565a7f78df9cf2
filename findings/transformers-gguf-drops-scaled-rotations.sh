#!/usr/bin/env bash
# transformers 5.24.0 with gguf 0.19.0 (`from_pretrained(…, gguf_file=…)`), Python 3.11.
#
# A GGUF file of Llama 3.1 and later holds a tensor `rope_freqs.weight`, and others hold the keys `rope.scaling.*`: what the
# frequencies of the rotations are divided by, without which the model computes something else. Both are passed over
# without a warning: the file with them and the file without them give the same states.
#
# Output seen:
#   5.24.0
#   rope parameters: {'rope_theta': 10000.0, 'rope_type': 'default'}
#   the states with and without them are equal: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet "transformers==5.24.0" "gguf==0.19.0" torch accelerate
cd "$folder"
"$folder/environment/bin/python" - > "$folder/output" 2>/dev/null <<'PYTHON'
from importlib.metadata import version

import gguf
import numpy as np
import torch
from transformers import AutoModel


def write(name: str, scaled: bool) -> None:
    """A random Llama of two blocks, with scaled rotations or without them."""
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(name, "llama")
    tokens = [chr(code) for code in range(33, 127)]
    writer.add_context_length(128), writer.add_embedding_length(32), writer.add_block_count(2)
    writer.add_feed_forward_length(64), writer.add_head_count(4), writer.add_head_count_kv(2)
    writer.add_rope_freq_base(10_000.0), writer.add_layer_norm_rms_eps(1e-5), writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2"), writer.add_token_list(tokens), writer.add_token_merges([])
    if scaled:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR), writer.add_rope_scaling_factor(8.0)
        writer.add_tensor("rope_freqs.weight", np.full(4, 8.0, dtype=np.float32))
    shapes = {"token_embd.weight": (len(tokens), 32), "output_norm.weight": (32,)}
    for block in range(2):
        layer = {"attn_q": (32, 32), "attn_k": (16, 32), "attn_v": (16, 32), "attn_output": (32, 32)}
        layer |= {"ffn_gate": (64, 32), "ffn_up": (64, 32), "ffn_down": (32, 64), "attn_norm": (32,), "ffn_norm": (32,)}
        shapes |= {f"blk.{block}.{part}.weight": shape for part, shape in layer.items()}
    for part, shape in shapes.items():
        writer.add_tensor(part, random.normal(size=shape).astype(np.float32))
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()


states = []
for name, scaled in (("plain.gguf", False), ("scaled.gguf", True)):
    write(name, scaled)
    model = AutoModel.from_pretrained(".", gguf_file=name, dtype=torch.float32).eval()
    with torch.inference_mode():
        states.append(model(torch.arange(1, 40)[None]).last_hidden_state)
print(version("transformers"))
print("rope parameters:", dict(sorted(model.config.rope_parameters.items())))
print("the states with and without them are equal:", torch.equal(*states))
PYTHON
diff - "$folder/output" <<'SEEN'
5.24.0
rope parameters: {'rope_theta': 10000.0, 'rope_type': 'default'}
the states with and without them are equal: True
SEEN
echo "as described"
