"""A certificate for people: HTML to read and print, Markdown, JSON, CSV. From the bundle alone: no names.

Import from the modules; this file stays empty of code.
"""
