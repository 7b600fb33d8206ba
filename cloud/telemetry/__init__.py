"""Latest values, history in chunks and raw evidence."""
