"""Tariffs, rating, allocation and bills."""
