"""Reports as workbooks: sums of the ledger and of meters, each sheet with a row of totals."""
