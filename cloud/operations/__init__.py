"""Backup, restore, and what is wrong with an installation."""
