"""A process that has imported what takes long and looks at no variable of the hub's clients; it forks for each job.

Lines on stdin are jobs: code, env, arguments, and the paths of stdin, stdout and stderr. For each the process id is
printed, and when it is done its exit code.
"""

import json
import os
import sys
import traceback

import numpy  # noqa: F401 - these imports are what it is for
import pandas  # noqa: F401
import PIL.Image  # noqa: F401
import pyarrow.parquet  # noqa: F401
import scipy.stats  # noqa: F401
import sklearn.datasets  # noqa: F401
import torch._dynamo  # noqa: F401


def run(job):
    os.environ.clear()
    os.environ.update(job["env"])
    for stream, (path, flags) in enumerate(
        zip(job["files"], (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT), strict=True)
    ):
        os.dup2(os.open(path, flags, 0o600), stream)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(at, mode, closefd=False) for at, mode in enumerate("rww"))
    sys.argv = ["-c", *job["arguments"]]
    code = 0
    try:
        exec(compile(job["code"], "<job>", "exec"), {"__name__": "__main__"})  # noqa: S102 - the tests' own code
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main():
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run(json.loads(line))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    loaded = {name.partition(".")[0] for name in sys.modules}
    assert not loaded & {"huggingface_hub", "datasets", "transformers"}, loaded
    main()
