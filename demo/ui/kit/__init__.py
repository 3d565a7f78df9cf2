"""Kit: what several tabs share: figure view, presets, translation, downloads."""
