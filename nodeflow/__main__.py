"""The program `nodeflow`, begun with next to nothing, so that Ctrl+C ends it without a trace from its start on.

To import the command line takes a fifth of a second, in which Python would answer an interrupt itself.
"""

import sys

INTERRUPTED = (
    '{"event": "broken", "exit": 130, "problems": [{"message": "interrupted", "cure": "", "node": null, '
    '"port": null, "file": null}]}'
)
"""What the command line says with --json of a call that was interrupted; here nothing is there yet to say it with."""


def main() -> None:
    """The program."""
    try:
        from nodeflow.cli import call

        code = call(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
        if "--json" in sys.argv:
            sys.stdout.write(f"{INTERRUPTED}\n")
    finally:
        import signal

        signal.signal(signal.SIGINT, signal.SIG_DFL)  # while Python puts itself away, it would show a trace as well
    sys.exit(code)


if __name__ == "__main__":
    main()
