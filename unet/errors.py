"""Exceptions whose message is meant for the user: one sentence a line, no traceback."""

from __future__ import annotations


class BadInput(ValueError):
    """The data or a setting cannot be used as it is: the user has to change something."""


class TrainingFailed(RuntimeError):
    """Training or tuning could not produce a model: a loss that is not finite, no trial that finished."""


class ExportRejected(RuntimeError):
    """The exported model does not do what serving needs."""


class ImagesLost(RuntimeError):
    """Fewer images came out of a step than went in."""
