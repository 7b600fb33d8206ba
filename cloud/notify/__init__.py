"""Messages to payers: kept with what they are about, sent by a worker, at least once."""
