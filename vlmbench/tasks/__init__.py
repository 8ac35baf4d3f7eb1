"""One module or package a task: check, run, write records."""
