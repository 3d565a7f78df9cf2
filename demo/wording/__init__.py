"""Wording: translation of messages, and sentences about results. English and Korean; knows no widget."""
