"""Figures: results become Plotly figures. Holds no person's text that is not escaped: axes say Q1 and A1."""

from demo.figures.benchmark import WORDS as BENCHMARK_WORDS
from demo.figures.benchmark import plot_benchmark
from demo.figures.compare import WORDS as COMPARE_WORDS
from demo.figures.compare import difference as reading_difference
from demo.figures.compare import plot_difference, plot_reading, shared_range
from demo.figures.explanation import MOST_TOKENS, plot_token_similarity, spell_token
from demo.figures.lesson import WORDS as LESSON_WORDS
from demo.figures.lesson import plot_first_words, plot_found, plot_guess, plot_layer_auc
from demo.figures.matrix import palette, plot_matrix, quantize, shown_range
from demo.figures.similarity import COLORSCALE, SCALES, draw_similarity, pack_numbers, plot_similarity, two_digits
from demo.figures.space import WORDS as SPACE_WORDS
from demo.figures.space import percent, plot_space_2d, plot_space_3d, plot_variance
from demo.figures.story import WORDS as STORY_WORDS
from demo.figures.story import fine_percent, plot_gap, plot_models, plot_next_tokens, plot_positions
from demo.figures.sweep import MOST_NAMED, layers_title, name_reading, picture_of, plot_layers, plot_sweep
from demo.figures.sweep import WORDS as SWEEP_WORDS
from demo.figures.training import BINS, coin, count_cosines, plot_cosines, plot_held_points, plot_loss, plot_progress
from demo.figures.training import WORDS as TRAINING_WORDS

__all__ = [
    "BINS",
    "BENCHMARK_WORDS",
    "COLORSCALE",
    "COMPARE_WORDS",
    "LESSON_WORDS",
    "MOST_NAMED",
    "MOST_TOKENS",
    "SCALES",
    "SPACE_WORDS",
    "STORY_WORDS",
    "SWEEP_WORDS",
    "TRAINING_WORDS",
    "coin",
    "count_cosines",
    "fine_percent",
    "layers_title",
    "name_reading",
    "palette",
    "percent",
    "picture_of",
    "plot_benchmark",
    "plot_cosines",
    "plot_difference",
    "plot_first_words",
    "plot_found",
    "plot_guess",
    "plot_held_points",
    "plot_layer_auc",
    "plot_gap",
    "plot_layers",
    "plot_models",
    "plot_next_tokens",
    "plot_positions",
    "plot_loss",
    "plot_matrix",
    "plot_progress",
    "plot_reading",
    "draw_similarity",
    "pack_numbers",
    "plot_similarity",
    "plot_space_2d",
    "plot_space_3d",
    "plot_sweep",
    "plot_token_similarity",
    "plot_variance",
    "quantize",
    "reading_difference",
    "shared_range",
    "shown_range",
    "spell_token",
    "two_digits",
]
