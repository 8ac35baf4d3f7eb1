"""The ``vlmbench`` script and ``python -m vlmbench``: signals and streams first, since imports take their time."""

import gc

from vlmbench.foundations import interrupts


def main() -> None:
    """Runs the command line; it ends with an exit code of the contract, whatever comes."""
    interrupts.handle()
    gc.disable()  # imports make no garbage, and looking for it takes a tenth of their time; `guarded` enables it
    from vlmbench.foundations import cpu, streams

    streams.ready()
    cpu.require_room()
    from vlmbench.cli.app import app

    app()


if __name__ == "__main__":
    main()
