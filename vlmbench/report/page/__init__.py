"""report.html and figures."""
