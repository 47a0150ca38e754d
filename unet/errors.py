"""Exceptions whose messages are shown to the user without a traceback, one sentence per line."""

from __future__ import annotations


class BadInput(ValueError):
    """The data or a setting cannot be used: the user has to change one of them."""


class TrainingFailed(RuntimeError):
    """Training or tuning produced no model: the loss became NaN or infinite, or no trial finished."""


class ExportRejected(RuntimeError):
    """The exported model does not meet the requirements of serving."""


class ImagesLost(RuntimeError):
    """Fewer images came out of a step than went in."""
