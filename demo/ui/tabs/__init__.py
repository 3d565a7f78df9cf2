"""Tabs: one folder a tab: widgets (tab), events (handlers), sentences (text), long work (runs)."""
