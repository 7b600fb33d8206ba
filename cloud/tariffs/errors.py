"""What can be wrong with a usage."""


class RatingError(ValueError):
    """A usage that this tariff cannot rate."""


class IntervalsNeededError(RatingError):
    """A tier ends inside a time-of-use span under `by-time`, and nobody knows when."""
