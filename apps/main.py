"""The program `angarium`: the version at once, all else through the table of commands."""

from __future__ import annotations

import sys
import traceback


def main() -> None:
    """Run the command line; what nobody expected ends with a traceback and code 70."""
    if sys.argv[1:] == ["--version"]:
        # Scripts ask for it often: answered before the command line's libraries are imported.
        sys.stdout.write(f"{version_line()}\n")
        return
    from apps.commands import angarium

    try:
        angarium(prog_name="angarium")
    except Exception:
        from apps.common.exits import Exit

        traceback.print_exc()
        sys.stderr.write("angarium: internal error; please report it with the lines above\n")
        sys.exit(Exit.INTERNAL)


def version_line() -> str:
    """Return name and version of the installed distribution."""
    from importlib.metadata import version

    return f"angarium {version('angarium')}"


if __name__ == "__main__":
    main()
