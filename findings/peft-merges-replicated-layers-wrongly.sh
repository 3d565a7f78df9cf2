#!/usr/bin/env bash
# peft 0.21.2, transformers 5.24.0, torch 2.13.0, Python 3.11.
#
# LoraConfig(layer_replication=…) repeats blocks of a model: the copies share the base's weights, each has a LoRA of its own.
# Merging such an adapter is impossible in place, and LoraModel means to refuse it; but it looks for the setting among the
# names of adapters (`self.peft_config.get("layer_replication")`), finds none, and merges: every LoRA of a repeated block is
# added to the one shared weight. There is no error and no warning, and the merged model's states are others than the
# adapted model's. Giving each copy a weight of its own first makes them equal.
#
# Output seen:
#   peft 0.21.2
#   merged without an error, equal: False
#   with weights of their own, equal: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/environment"
"$folder/environment/bin/pip" install --quiet "peft==0.21.2" "transformers==5.24.0" "torch==2.13.0"
"$folder/environment/bin/python" - > "$folder/output" 2> /dev/null <<'PYTHON'
import peft
import torch
from transformers import AutoModel, LlamaConfig

SIZES = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64, "num_hidden_layers": 4, "vocab_size": 100}
IDS = torch.tensor([[5, 6, 7]])


def states_before_and_after(own_weights):
    torch.manual_seed(0)
    config = peft.LoraConfig(target_modules=["q_proj"], layer_replication=[[0, 3], [1, 4]], init_lora_weights=False)
    model = peft.get_peft_model(AutoModel.from_config(LlamaConfig(**SIZES)), config).eval()
    with torch.no_grad():
        before = model(IDS).last_hidden_state.clone()
        if own_weights:
            for module in model.modules():
                if hasattr(module, "base_layer"):
                    module.base_layer.weight = torch.nn.Parameter(module.base_layer.weight.clone())
        return before, model.merge_and_unload()(IDS).last_hidden_state


print("peft", peft.__version__)
for words, own_weights in (("merged without an error", False), ("with weights of their own", True)):
    print(f"{words}, equal: {torch.allclose(*states_before_and_after(own_weights), atol=1e-4)}")
PYTHON
diff - "$folder/output" <<'SEEN'
peft 0.21.2
merged without an error, equal: False
with weights of their own, equal: True
SEEN
echo "as described"
