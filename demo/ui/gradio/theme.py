"""The look that Gradio's widgets take: one accent, system fonts, the same calm in light and dark. Colours only.

Everything else about the look stands in base.css, which reads the variables that this theme sets.
"""

from __future__ import annotations

import gradio as gr

# From 50 to 950. The accent is a blue close to the dark end of the heatmap's scale: page and picture belong together.
_ACCENT = "#f1f5fb #e1eaf6 #c5d6ec #9db9dd #6f96c9 #4875b1 #335d97 #294a7a #233e65 #1d3353 #132138"
_NEUTRAL = "#f8f9fa #f1f3f5 #e4e7eb #cfd4da #9aa3ad #5d6771 #4d5660 #363d45 #23282e #181c20 #101316"
_SANS = (
    "system-ui,-apple-system,Segoe UI,Roboto,Apple SD Gothic Neo,Malgun Gothic,Noto Sans KR,Noto Sans CJK KR,sans-serif"
)
_MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,monospace"
_VARIABLES = {  # (in light and dark) or (in light, in dark)
    "body_background_fill": ("*neutral_50", "*neutral_950"),
    "body_text_color": ("*neutral_900", "*neutral_100"),
    "body_text_color_subdued": ("*neutral_500", "*neutral_400"),
    "background_fill_primary": ("white", "*neutral_900"),
    "background_fill_secondary": ("*neutral_50", "*neutral_900"),
    "block_background_fill": ("transparent", "transparent"),
    "block_border_width": ("0px",),
    "block_shadow": ("none",),
    "block_padding": ("0px",),
    "block_label_background_fill": ("transparent", "transparent"),
    "block_title_text_weight": ("600",),
    "block_title_text_size": ("*text_sm",),
    "block_title_text_color": ("*neutral_700", "*neutral_200"),
    "block_info_text_size": ("*text_xs",),
    "input_background_fill": ("white", "*neutral_900"),
    "input_border_color": ("*neutral_300", "*neutral_700"),
    "input_border_color_focus": ("*primary_500", "*primary_400"),
    "input_shadow": ("none",),
    "input_shadow_focus": ("0 0 0 3px *primary_100", "0 0 0 3px *primary_900"),
    "border_color_primary": ("*neutral_200", "*neutral_800"),
    "color_accent": ("*primary_600",),
    "color_accent_soft": ("*primary_100", "*primary_900"),
    "slider_color": ("*primary_600", "*primary_400"),
    "button_primary_background_fill": ("*primary_600",),
    "button_primary_background_fill_hover": ("*primary_700",),
    "button_primary_text_color": ("white",),
}


def theme_colors(dark: bool) -> dict[str, str]:
    """The colours that the first picture needs before Gradio's styles are there, by the names it gives them."""
    names = {
        "paper": "body_background_fill",
        "ink": "body_text_color",
        "soft": "body_text_color_subdued",
        "line": "border_color_primary",
        "box": "input_background_fill",
        "edge": "input_border_color",
        "accent": "color_accent",
    }
    ramps = {"*neutral": _NEUTRAL, "*primary": _ACCENT}
    numbers = ("50", *map(str, range(100, 1000, 100)), "950")
    steps = {f"{ramp}_{n}": color for ramp in ramps for n, color in zip(numbers, ramps[ramp].split(), strict=True)}
    values = {name: _VARIABLES[variable][dark * (len(_VARIABLES[variable]) > 1)] for name, variable in names.items()}
    return {name: steps.get(value, value) for name, value in values.items()}


def create_theme() -> gr.themes.Base:
    """The page's theme."""
    accent, neutral = (gr.themes.Color(*ramp.split()) for ramp in (_ACCENT, _NEUTRAL))
    sizes = gr.themes.sizes
    theme = gr.themes.Base(
        primary_hue=accent,
        secondary_hue=accent,
        neutral_hue=neutral,
        radius_size=sizes.radius_sm,
        spacing_size=sizes.spacing_md,
        text_size=sizes.text_md,
        font=[*_SANS.split(","), "sans-serif"],
        font_mono=_MONO.split(","),
    )
    dark = {f"{name}_dark": values[1] for name, values in _VARIABLES.items() if len(values) > 1}
    return theme.set(**{name: values[0] for name, values in _VARIABLES.items()}, **dark)
