"""The `undertone` command. What takes time to import is imported when it runs, and Ctrl-C works while it does."""

from streams.terminal.interrupts import end_on_interrupt
from workers.service.blas_threads import one_blas_thread


def main() -> None:
    """The console script: run the command of this process's arguments."""
    one_blas_thread()
    end_on_interrupt()
    from streams.cli.application import run

    run()


__all__ = ["main"]
