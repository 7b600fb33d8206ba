"""Pages for staff and residents."""
