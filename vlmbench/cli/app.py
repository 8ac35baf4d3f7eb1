"""The ``vlmbench`` command: finds the commands, and turns every error into an exit code of the contract."""

import errno
import functools
import gc
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from vlmbench import __version__
from vlmbench.cli import settings
from vlmbench.cli.commands import COMMANDS, command_of
from vlmbench.cli.help import Helped
from vlmbench.foundations import errors, interrupts
from vlmbench.foundations.spelling import as_options
from vlmbench.foundations.streams import give_up_stdout, outlived


class Readable:
    """Says what is wrong with a command line as every other error is said."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Ends with 2 and the one clear error where the words do not parse."""
        try:
            return super().parse_args(ctx, args)  # type: ignore[misc,no-any-return]
        except Exception as error:
            if not hasattr(error, "format_message") or type(error).__name__ == "NoArgsIsHelpError":
                raise
            params: list[Any] = self.params  # type: ignore[attr-defined]
            help_page, name = f"{ctx.command_path} --help", getattr(error, "option_name", None)
            if hasattr(error, "possibilities"):  # click's own are whatever is remotely similar
                from vlmbench.foundations.plugins import nearest

                error.possibilities = None
                known = [one for param in params for one in (*param.opts, *param.secondary_opts)]
                help_page = nearest(name or "", [one for one in known if one.startswith("--")], help_page, most=1)
            what = error.format_message().removesuffix(".")
            for typers, plain in PLAIN.items():
                what = re.sub(typers, plain, what)
            what += settings.origin(getattr(getattr(error, "param", None), "envvar", None))
            raise refused(what[:1].lower() + what[1:], help_page) from error


PLAIN = {
    "Value error, ": "",
    "Input should be a valid integer.*": "not a whole number",
    "Input should be a valid number.*": "not a number",
    "Input should be less than or equal to": "must be at most",
    "Input should be greater than or equal to": "must be at least",
}
"""What typer says of a value, and what is shown."""


def refused(what: str, fix: str) -> typer.Exit:
    """Shows what is wrong with a command line; gives what ends the program."""
    from vlmbench.cli.console import show_error

    with as_options():
        show_error(errors.UsageError(what, fix=fix))
    return typer.Exit(errors.EXIT_USAGE)


class LazyGroup(Readable, Helped, TyperGroup):
    """A group that imports a command's module when it is called, so that ``--help`` imports none."""

    annotations: Mapping[str, Any] = MappingProxyType({})
    docstring = """Is zero-shot CLIP enough, or how many labels until a linear probe wins?

    Is this captioner really better than that one?

    Examples:
    [bold]vlmbench demo[/bold]
    [bold]vlmbench zeroshot -m tiny-clip -d digits[/bold]
    [bold]vlmbench linear-probe --help[/bold]
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A stand-in with a name and a help line, which is all that a help page shows."""
        entry = COMMANDS.get(cmd_name)
        return TyperCommand(cmd_name, help=entry.line) if entry else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command itself, imported now, or that of another package's task; similar names for a mistyped one."""
        found: list[Any] = []

        def look() -> int:
            name = args[0]
            if name in COMMANDS:
                if not ctx.resilient_parsing:
                    settings.apply(name)
                found.append(load(name))
                return errors.EXIT_OK
            from vlmbench.api.plans import tasks
            from vlmbench.foundations.plugins import nearest
            from vlmbench.foundations.text import visible

            if name in (known := tasks()):
                found.append(load(name))
            elif not ctx.resilient_parsing:
                fix = nearest(name, [*COMMANDS, *known], "vlmbench --help")
                raise errors.UsageError(f"no such command: {visible(name)}", fix=fix)
            return errors.EXIT_OK

        if args and (code := exit_code(look)):
            raise typer.Exit(code)
        return (args[0], found[0], args[1:]) if found else super().resolve_command(ctx, args)


class Command(Readable, Helped, TyperCommand):
    """A command whose help names the available metrics, and whose ``--ray`` may stand without an address."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts in the address of a local cluster where none follows."""
        place = args.index("--ray") + 1 if "--ray" in args else 0
        if place and not re.fullmatch(r"local|auto|(ray://)?[^/]+:\d+", "".join(args[place : place + 1])):
            args = [*args[:place], "local", *args[place:]]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Looks them up, and shows the help."""
        from vlmbench.cli.options.common import metric_choices

        params: list[Any] = [param for param in self.params if "{" in (getattr(param, "help", None) or "")]
        for param in params:
            for place, names in metric_choices().items():
                param.help = param.help.replace(place, ", ".join(names))
        super().format_help(ctx, formatter)


def load(name: str) -> Any:
    """Imports a command and builds its parser."""
    command = command_of(name)
    single = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    single.command(name, cls=Command, context_settings=SETTINGS)(guarded(command))
    built: Any = get_command(single)
    built.name = name
    built.docstring = command.__doc__
    for param in built.params:
        own = str(param.envvar or "").replace("VLMBENCH_", f"VLMBENCH_{name.upper().replace('-', '_')}_")
        param.envvar = own if own in os.environ else param.envvar
    built.annotations = {item.name: item.annotation for item in inspect.signature(command).parameters.values()}
    return built


SETTINGS = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="vlmbench",
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=SETTINGS,
)


def _version(asked: bool) -> None:
    if asked:
        import platform

        from vlmbench.foundations.versions import package_versions

        packages = package_versions("torch", "transformers", "openvino").items()
        found = ", ".join(f"{name} {version}" for name, version in (("Python", platform.python_version()), *packages))
        with outlived():
            typer.echo(f"vlmbench {__version__}\n{found} on {platform.system()} {platform.machine()}")
            sys.stdout.flush()
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Holds the options that come before a command."""


def guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that always ends with an exit code of the contract; typer itself ends with 2."""

    @functools.wraps(command)
    def run(**given: Any) -> None:
        def call() -> int:
            gc.freeze()
            gc.set_threshold(50_000, 20, 50)  # torch and transformers are still to be imported: a tenth of a start
            gc.enable()
            with interrupts.raised():
                code = command(**given)
                with outlived():
                    sys.stdout.flush()
            return code or errors.EXIT_OK

        if code := exit_code(call, debug=bool(given.get("debug"))):
            raise typer.Exit(code)

    return run


def exit_code(call: Callable[[], int], *, debug: bool = False) -> int:
    """What a function gives, or the exit code of the contract for what it raises, which is told on stderr."""
    try:
        with as_options():
            return call()
    except typer.Exit:
        raise
    except KeyboardInterrupt as error:
        print(f"\n{interrupts.SAID}", file=sys.stderr)
        return getattr(error, "exit_code", interrupts.came or errors.EXIT_INTERRUPTED)
    except BrokenPipeError:
        give_up_stdout()
        return errors.EXIT_OK
    except errors.LeftToOthers as left:
        print(left, file=sys.stderr)
        return left.exit_code
    except errors.VlmbenchError as error:
        if debug:
            import traceback

            traceback.print_exc()
        from vlmbench.cli.console import show_error

        show_error(error)
        return error.exit_code
    except ModuleNotFoundError as error:
        own = (error.name or "vlmbench").startswith("vlmbench")
        return _fault(error, debug) if debug or own else _without(error)
    except Exception as error:
        if errors.out_of_memory(error) and not debug:
            return _memory()
        if isinstance(error, OSError) and error.errno in DISK:
            return _disk(error)
        return _fault(error, debug)


def _without(error: ModuleNotFoundError) -> int:
    """A package that is declared and not there, as after an installation for captions alone."""
    from vlmbench.cli.console import show_error

    what = f"this needs the package {(error.name or '').partition('.')[0]}, which is not installed"
    absent = errors.AbsentError(what, fix="pip install vlmbench-eval (an installation for captions leaves it out)")
    show_error(absent)
    return absent.exit_code


DISK = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG), "write"),
    **dict.fromkeys((errno.EIO, errno.EACCES, errno.EPERM, errno.ESTALE, errno.ENAMETOOLONG), "read or write"),
}


def _disk(error: OSError) -> int:
    """A failing or full disk, wherever it was noticed: stdout sent to a file, a library's own cache."""
    what = f"cannot {DISK[error.errno or 0]}: {error.strerror}"
    print(f"error: {what}\n  where: {error.filename or 'stdout'}", file=sys.stderr)
    return errors.EXIT_INPUT


def _memory() -> int:
    """Printed without rich, which may lack memory too."""
    error = errors.too_little_memory()
    print(f"error: {error.what}\n  fix: {error.fix}", file=sys.stderr)
    return error.exit_code


def _fault(error: Exception, debug: bool) -> int:
    """Writes the traceback to a log and says where it is."""
    import time
    import traceback

    from vlmbench.foundations.paths import default_cache_dir
    from vlmbench.foundations.text import visible

    text = traceback.format_exc()
    if debug:
        print(text, file=sys.stderr)
    try:
        log = default_cache_dir() / "logs" / f"fault-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"vlmbench {__version__}\n{sys.argv}\n\n{text}", "utf-8", "backslashreplace")
        place = f"the log is {log}"
    except OSError:
        place = "the log could not be written; --debug shows the traceback"
    summary = visible(f"{type(error).__name__}: {error}")
    print(f"error: a fault of vlmbench itself: {summary}\n  {place}; please report it", file=sys.stderr)
    return errors.EXIT_FAULT
