"""Adapters on disk: a folder of what was learned, beside what is known of it; and how it is put onto a model."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor, nn

from demo.training import AdapterInfo

PROJECTION_FILE = "projection.safetensors"
LORA_FILE = "adapter_config.json"
INFO_FILE = "training.json"
