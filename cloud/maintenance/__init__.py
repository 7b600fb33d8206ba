"""Maintenance: work orders 工单."""
