"""Contrastive training: InfoNCE with in-batch and hard negatives, as a generator of steps.

The model under training is a copy of the modules over the same weights plus an adapter, so that nobody's heatmap
changes.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from demo.backend.loader import Checkpoint
from demo.backend.model.tokenization import TokenizedText, tokenize
from demo.backend.protocol import Guide, Sources
from demo.backend.scheduler.batch import plan_batches
from demo.backend.training.learners import EmbedFrozen, make_learner
from demo.backend.weights.adapters import replaced_whole, write_info
from demo.domain.datamodels import PromptedText
from demo.domain.errors import BadInput
from demo.domain.recipe import PromptedPair, Recipe, TrainStep

_TOKENS = 2_048  # of one forward pass, padding included
_STATE, _PROGRESS = "state.safetensors", "state.json"
_CLIP = 1.0  # norm of the gradient, at most
_GUIDE_TEMPERATURE = 0.05


def info_nce(questions: Tensor, answers: Tensor, temperature: float, positives: Tensor | None = None) -> Tensor:
    """Symmetric InfoNCE: −log softmax of the right answer among all, and of the right question among all.

    questions: (n, dim). answers: (n + m, dim): the i-th belongs to the i-th question, the rest are hard negatives.
    positives: bool (n, n + m), True where a pair must not count as a negative (equal texts). Returns a scalar.
    Source: van den Oord et al., arXiv 1807.03748; in both directions as CLIP, arXiv 2103.00020.
    """
    count = len(questions)
    scores = functional.normalize(questions, dim=-1) @ functional.normalize(answers, dim=-1).T / temperature
    if positives is not None:
        others = positives & ~torch.eye(*scores.shape, dtype=torch.bool, device=scores.device)
        scores = scores.masked_fill(others, float("-inf"))
    labels = torch.arange(count, device=scores.device)
    forward = functional.cross_entropy(scores, labels)
    backward = functional.cross_entropy(scores[:, :count].T, labels)
    return (forward + backward) / 2


def distillation_loss(vectors: Tensor, guide: Tensor, temperature: float) -> Tensor:
    """Kullback–Leibler divergence of the batch's similarities from the guide's: soft labels, each text with all others.

    vectors, guide: (n, dim) and (n, any dim). Returns a scalar, 0 where the two agree.
    Source: similarity distillation, e.g. SEED, arXiv 2101.04731; a guide for in-batch negatives: arXiv 2402.16829.
    """
    itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    ours = functional.normalize(vectors, dim=-1)
    ours = (ours @ ours.T / temperature).masked_fill(itself, -1e4)
    theirs = functional.normalize(guide, dim=-1)
    theirs = (theirs @ theirs.T / _GUIDE_TEMPERATURE).masked_fill(itself, -1e4)
    return functional.kl_div(ours.log_softmax(-1), theirs.log_softmax(-1), log_target=True, reduction="batchmean")


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then cosine decay. step: from 1."""
    if step <= recipe.warmup:
        return recipe.learning_rate * step / max(recipe.warmup, 1)
    done = (step - recipe.warmup) / max(recipe.steps - recipe.warmup, 1)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def plan_steps(recipe: Recipe, sources: Sources) -> list[np.ndarray]:
    """The pairs of every step, as indices into all sources one after the other; each pair once an epoch.

    A batch is of one source, drawn by weight × √pairs. Depends on the recipe and the sizes only.
    """
    rng = np.random.default_rng(recipe.seed)
    counts = np.array([count for count, _ in sources])
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    odds = np.array([weight for _, weight in sources]) * np.sqrt(counts)
    queues: list[list[int]] = [[] for _ in sources]
    steps = []
    for _ in range(recipe.steps):
        source = int(rng.choice(len(counts), p=odds / odds.sum()))
        size = min(recipe.batch_size, int(counts[source]))
        while len(queues[source]) < size:
            fresh = [i for i in rng.permutation(counts[source]).tolist() if i not in queues[source][-size:]]
            queues[source] += fresh
        steps.append(starts[source] + np.array(queues[source][:size]))
        del queues[source][:size]
    return steps


class ContrastiveTraining:
    """A Training (protocol.py) over a checkpoint. Raises ReadingRefused where the recipe cannot be trained on it.

    frozen: embeds with the untrained checkpoint. call: runs a function in the device's own thread, between passes. Only
    steps of milliseconds go there; a step of seconds would keep everybody waiting, and stays in its own thread.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        recipe: Recipe,
        pairs: Sequence[PromptedPair],
        sources: Sources,
        guide: Guide | None,
        frozen: EmbedFrozen,
        call: Callable[[Callable[[], Any]], Any],
    ):
        self.checkpoint = checkpoint
        self.recipe = recipe
        self.done = 0
        self._pairs = pairs
        self._right: dict[str, set[str]] = {}  # every right answer of a question, in whatever pair it stands
        for pair in pairs:
            self._right.setdefault(pair.question.text, {pair.question.text}).add(pair.answer.text)
        self._plan = plan_steps(recipe, sources)
        self._guide = guide
        self._device = next(checkpoint.network.parameters()).device
        self._learner = make_learner(checkpoint, recipe, frozen)
        self._call = call if self._learner.is_fast else lambda act: act()
        self._optimizer = torch.optim.AdamW(self._learner.parameters(), lr=recipe.learning_rate, weight_decay=0.0)
        self._tokens: dict[tuple[PromptedText, int], TokenizedText] = {}

    @property
    def trainable(self) -> int:
        return sum(parameter.numel() for parameter in self._learner.parameters())

    def prepare(self, texts: Sequence[PromptedText], on_done: Callable[[float], None]) -> None:
        if not self._learner.is_fast:  # a step of seconds reads its texts itself
            return
        pairs = [self._pairs[i] for i in np.unique(np.concatenate(self._plan[self.done :] or [np.empty(0, int)]))]
        learned = [text for pair in pairs for text in (pair.question, pair.answer, pair.negative) if text is not None]
        tokenized = self._tokenize(learned, self.recipe.max_tokens)
        tokenized += self._tokenize(list(texts), self.checkpoint.info.max_tokens)
        distinct = list(dict.fromkeys(tokenized))
        lengths = [len(text) for text in distinct]
        done = 0
        for batch in plan_batches(lengths, _TOKENS):
            on_done(done / sum(lengths))
            self._learner.prepare([distinct[i] for i in batch])
            done += sum(lengths[i] for i in batch)
        on_done(1.0)

    def steps(self) -> Iterator[TrainStep]:
        while self.done < self.recipe.steps:
            yield self._step(self._plan[self.done])

    @torch.no_grad()
    def embed(self, texts: Sequence[PromptedText]) -> np.ndarray:
        tokenized = self._tokenize(list(texts), self.checkpoint.info.max_tokens)
        self._learner.prepare(tokenized)
        return self._call(lambda: self._vectors(tokenized).detach().cpu().numpy())

    def save(self, folder: Path, info: dict[str, Any], card: str = "") -> None:
        with replaced_whole(folder) as made:
            self._learner.save(made)
            write_info(made, info, card)

    def save_state(self, folder: Path) -> None:
        tensors = {}
        for name, parameter in self._learner.named_parameters():
            state = self._optimizer.state.get(parameter, {})
            tensors |= {f"{name}/{key}": value for key, value in state.items()}
            tensors[f"{name}/value"] = parameter.detach()
        with replaced_whole(folder) as made:
            save_file({key: tensor.contiguous().cpu() for key, tensor in tensors.items()}, made / _STATE)
            (made / _PROGRESS).write_text(json.dumps({"done": self.done, "recipe": self.recipe.to_dict()}))

    def load_state(self, folder: Path) -> None:
        try:
            progress = json.loads((folder / _PROGRESS).read_text())
            tensors = load_file(folder / _STATE)
        except (OSError, ValueError, SafetensorError) as error:
            raise BadInput(field="resume", problem=f"{folder.name} holds no state of a training run.") from error
        if progress["recipe"] != json.loads(json.dumps(self.recipe.to_dict())):
            raise BadInput(field="resume", problem=f"{folder.name} belongs to a training run with other settings.")
        with torch.no_grad():
            for name, parameter in self._learner.named_parameters():
                parameter.copy_(tensors[f"{name}/value"])
                state = {key.removeprefix(f"{name}/"): t for key, t in tensors.items() if key.startswith(f"{name}/")}
                del state["value"]
                if state:
                    self._optimizer.state[parameter] = {
                        key: t.clone() if key == "step" else t.to(self._device) for key, t in state.items()
                    }
        self.done = progress["done"]

    def _step(self, rows: np.ndarray) -> TrainStep:
        started = time.perf_counter()
        pairs = [self._pairs[i] for i in rows]
        negatives = [pair.negative for pair in pairs if pair.negative is not None]
        texts = [*(pair.question for pair in pairs), *(pair.answer for pair in pairs), *negatives]
        tokenized = self._tokenize(texts, self.recipe.max_tokens)
        self._learner.prepare(tokenized)
        soft = None if self._guide is None else torch.from_numpy(np.asarray(self._guide([t.text for t in texts])))
        positives = self._positives(pairs, texts)
        rate = learning_rate(self.recipe, self.done + 1)
        loss, example = self._call(lambda: self._descend(tokenized, len(pairs), rate, positives, soft))
        self.done += 1
        seconds = time.perf_counter() - started
        return TrainStep(self.done, loss, rate, len(texts) / seconds, example, seconds)

    def _descend(
        self, texts: list[TokenizedText], count: int, rate: float, positives: Tensor, soft: Tensor | None
    ) -> tuple[float, np.ndarray]:
        """One optimizer step; returns (loss before it, cosines of the first question with all answers, (count,)).

        texts: `count` questions, their answers, hard negatives. soft: the guide's vectors of them, (n, any dim).
        """
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad(set_to_none=True)
        vectors = self._vectors(texts)
        questions, answers = vectors[:count], vectors[count:]
        temperature = self.recipe.temperature
        if soft is None:
            loss = info_nce(questions, answers, temperature, positives)
        else:
            # The guide rates a hard negative as half right; InfoNCE would push it as far away as any other text.
            hard = info_nce(questions, answers[:count], temperature, positives[:, :count])
            weight = self.recipe.guide_weight
            loss = (1 - weight) * hard + weight * distillation_loss(vectors, soft.to(self._device), temperature)
        loss.backward()
        nn.utils.clip_grad_norm_(self._learner.parameters(), _CLIP)
        self._optimizer.step()
        with torch.no_grad():
            example = functional.cosine_similarity(questions[:1], answers[:count]).cpu().numpy()
        return float(loss.detach()), example

    def _positives(self, pairs: Sequence[PromptedPair], texts: Sequence[PromptedText]) -> Tensor:
        """bool (n, n + m): where an answer or hard negative is right for the row's question, or equals it."""
        right = [self._right[pair.question.text] for pair in pairs]
        return torch.tensor([[text.text in own for text in texts[len(pairs) :]] for own in right], device=self._device)

    def _vectors(self, texts: list[TokenizedText]) -> Tensor:
        """(n, dim) float32; each distinct text runs once, with texts of similar length."""
        distinct = list(dict.fromkeys(texts))
        vectors: dict[TokenizedText, Tensor] = {}
        for batch in plan_batches([len(text) for text in distinct], _TOKENS):
            members = [distinct[i] for i in batch]
            vectors |= zip(members, self._learner.embed(members), strict=True)
        return torch.stack([vectors[text] for text in texts])

    def _tokenize(self, texts: list[PromptedText], limit: int) -> list[TokenizedText]:
        info = self.checkpoint.info
        limit = min(limit, info.max_tokens)
        new = [text for text in dict.fromkeys(texts) if (text, limit) not in self._tokens]
        if new:
            own = new if info.include_prompt else [replace(text, include_prompt=False) for text in new]
            tokenized = tokenize(own, self.checkpoint.tokenizer, limit, info.name)
            self._tokens |= {(text, limit): tokens for text, tokens in zip(new, tokenized, strict=True)}
        return [self._tokens[text, limit] for text in texts]
