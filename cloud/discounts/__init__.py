"""Discounts 优惠: plans of the company, for whom they are, and what they take off a bill."""
