"""The look that Gradio's widgets take: one accent, system fonts, the same calm in light and dark. Colours only.

Everything else about the look stands in style.css, which reads the variables that this theme sets.
"""

from __future__ import annotations

import gradio as gr

# A blue close to the dark end of the heatmap's scale, so that page and picture belong together.
_ACCENT = gr.themes.Color(
    name="ink",
    c50="#f1f5fb",
    c100="#e1eaf6",
    c200="#c5d6ec",
    c300="#9db9dd",
    c400="#6f96c9",
    c500="#4875b1",
    c600="#335d97",
    c700="#294a7a",
    c800="#233e65",
    c900="#1d3353",
    c950="#132138",
)
_NEUTRAL = gr.themes.Color(
    name="paper",
    c50="#f8f9fa",
    c100="#f1f3f5",
    c200="#e4e7eb",
    c300="#cfd4da",
    c400="#9aa3ad",
    c500="#5d6771",
    c600="#4d5660",
    c700="#363d45",
    c800="#23282e",
    c900="#181c20",
    c950="#101316",
)
_SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Apple SD Gothic Neo", "Malgun Gothic", "Noto Sans KR")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def create_theme() -> gr.themes.Base:
    """The page's theme."""
    return gr.themes.Base(
        primary_hue=_ACCENT,
        secondary_hue=_ACCENT,
        neutral_hue=_NEUTRAL,
        radius_size=gr.themes.sizes.radius_sm,
        spacing_size=gr.themes.sizes.spacing_md,
        text_size=gr.themes.sizes.text_md,
        font=[*_SANS, "Noto Sans CJK KR", "sans-serif"],
        font_mono=[*_MONO],
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="white",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_50",
        background_fill_secondary_dark="*neutral_900",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_shadow="none",
        block_padding="0px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_title_text_weight="600",
        block_title_text_size="*text_sm",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        block_info_text_size="*text_xs",
        input_background_fill="white",
        input_background_fill_dark="*neutral_900",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        input_border_color_focus="*primary_500",
        input_border_color_focus_dark="*primary_400",
        input_shadow="none",
        input_shadow_focus="0 0 0 3px *primary_100",
        input_shadow_focus_dark="0 0 0 3px *primary_900",
        border_color_primary="*neutral_200",
        border_color_primary_dark="*neutral_800",
        color_accent="*primary_600",
        color_accent_soft="*primary_100",
        color_accent_soft_dark="*primary_900",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_text_color="white",
    )
