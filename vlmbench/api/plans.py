"""A plan's file as the command line reads it; `vlmbench.run_plan` runs what comes of it."""

from vlmbench.records.task import task_spec, tasks
from vlmbench.tasks.base import TaskJob
from vlmbench.tasks.plan import Plan, Step, Table, placed, read_plan, read_toml, unknown_key

__all__ = ["Plan", "Step", "Table", "TaskJob", "placed", "read_plan", "read_toml", "task_spec", "tasks", "unknown_key"]
