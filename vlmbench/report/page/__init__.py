"""``report.html`` and figures."""
