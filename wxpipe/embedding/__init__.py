"""Encoders: how they are trained, described by a card, saved, and applied to frames.

Works on arrays and bytes only; the stages that read and write the root call it. Modules that do not
compute (`registry`, `cards`, `history`) import no torch, so that a command line can list encoders at once.
"""
