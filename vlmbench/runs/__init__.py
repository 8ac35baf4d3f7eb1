"""One module a task: plan, execute, resume."""
