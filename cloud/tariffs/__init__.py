"""Tariffs: prices as data, and rating, which turns a usage into line items."""
