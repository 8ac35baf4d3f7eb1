"""A task in one of several processes of a launch: all of them encode, one of them writes the results."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from vlmbench.foundations.atomic import exclusive
from vlmbench.foundations.errors import LeftToOthers
from vlmbench.foundations.hashing import digest
from vlmbench.session.session import Session


@contextmanager
def shared(session: Session) -> Iterator[None]:
    """Around what writes results from features that the session expects.

    In a launch the features are encoded first, shared with the other processes through the store. Then each has them
    all, and the first goes on; one that comes when it is through writes the same bytes once more. A pool encodes them
    first too, and is closed at the end.

    Raises:
        LeftToOthers: another process of the launch is writing the results.
    """
    context, launch = session.context, session.context.launch
    if context.pool is not None:
        with closing(context.pool):
            session.prepare_expected()
            yield
        return
    if launch is None:
        yield
        return
    session.prepare_expected()
    name = digest([launch.command, str(context.out.absolute())])[:32]
    with exclusive(context.cache_dir / "launches" / f"{name}.lock", wait=False) as first:
        if not first:
            raise LeftToOthers(f"process {launch.number} of {launch.count}: another one is writing the results")
        yield
