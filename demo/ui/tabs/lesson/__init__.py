"""Lesson tab: a lesson in steps for a class."""
