"""One module or package per task: check, run, write records."""
