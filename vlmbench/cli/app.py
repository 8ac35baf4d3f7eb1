"""The ``vlmbench`` command: registers the commands and turns errors into exit codes."""

import os
import sys
import traceback
from importlib import import_module
from typing import Annotated

import typer

from vlmbench import __version__

app = typer.Typer(
    name="vlmbench",
    help="Is zero-shot CLIP enough, or how many labels until a linear probe wins? Is this captioner really better?",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# One module a command, in the order of the help page. A module is listed here once its command works.
COMMANDS = {
    "zeroshot": "vlmbench.cli.zeroshot",
}


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"vlmbench {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    """Holds the options that come before a command."""


for name, module in COMMANDS.items():
    app.command(name)(import_module(module).command)


def main() -> None:
    """Runs the command line and exits with the code of the contract (``DESIGN``: 0, 1, 2, 3, 4, 70, 130)."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs the command line with `arguments` and returns its exit code; never raises."""
    import click

    from vlmbench.foundations import errors

    debug = "--debug" in arguments or os.environ.get("VLMBENCH_DEBUG", "").lower() in {"1", "true", "yes", "on"}
    try:
        result = app(arguments, standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else errors.EXIT_OK
    except errors.VlmbenchError as error:
        from vlmbench.cli.console import show_error

        if debug:
            traceback.print_exc()
        show_error(error)
        return error.exit_code
    except click.exceptions.Abort:
        return _interrupted()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return errors.EXIT_OK
    except Exception as error:
        return _fault(error, debug)


def _interrupted() -> int:
    from vlmbench.foundations.errors import EXIT_INTERRUPTED

    print("\ninterrupted; what was computed is kept, the same command goes on from there", file=sys.stderr)
    return EXIT_INTERRUPTED


def _fault(error: Exception, debug: bool) -> int:
    """Writes the traceback to a log and says where it is."""
    import time

    from vlmbench.foundations.errors import EXIT_FAULT
    from vlmbench.foundations.paths import default_cache_dir

    text = traceback.format_exc()
    if debug:
        print(text, file=sys.stderr)
    try:
        log = default_cache_dir() / "logs" / f"fault-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"vlmbench {__version__}\n{' '.join(sys.argv)}\n\n{text}", "utf-8")
        place = f"the log is {log}"
    except OSError:
        place = "the log could not be written; --debug shows it"
    print(f"error: a fault of vlmbench itself: {type(error).__name__}: {error}\n  {place}; please report it", file=sys.stderr)
    return EXIT_FAULT
