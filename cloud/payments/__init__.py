"""Payments 线上缴费: orders at WeChat Pay and Alipay, entered into the books exactly once."""
