"""Errors of the service that a caller can act on."""


class CloudError(Exception):
    """Something the service refuses; the message says what is allowed."""


class NotFoundError(CloudError):
    """There is no such thing, or not for you."""


class RefusedError(CloudError):
    """The request is understood and not allowed now."""


class ForbiddenError(CloudError):
    """This is not for whoever asks; the message names who may."""
