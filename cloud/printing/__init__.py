"""Documents 单据 on paper: bills, receipts, dunning letters and public sheets as PDF."""
