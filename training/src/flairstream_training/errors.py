"""The one error that the command shows to a user."""


class InputError(Exception):
    """What was asked for cannot be done; the message names the thing and the remedy."""
