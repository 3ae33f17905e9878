"""The command `likewise`: a door to the house for people and scripts.

Data goes to stdout and everything else to stderr. Exit codes: 0 done, 1 failed, 2 misused. The only room that reads
the environment, and the one that prints the tree of errors.
"""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from likewise import __version__
from likewise.cli.commands import Commands, missing_extra
from likewise.cli.terminal import harmless
from likewise.errors import BadName, BadSetting, Hinted, LikewiseError
from likewise.logs import configure


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Every command explains itself: --help.",
)
@click.version_option(__version__, message="likewise %(version)s")
def likewise() -> None:
    """Keep people's likes and dislikes of music, and speak the Apple Music API while doing so."""


@likewise.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a shell's completion script.

    Source it: eval "$(likewise completion bash)".
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - needed by this command alone

    script = get_completion_class(shell)
    if script is not None:  # pragma: no branch - the three shells are click's own
        click.echo(script(likewise, {}, "likewise", "_LIKEWISE_COMPLETE").source())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 misused."""
    configure()
    _replace_closed_outputs()
    try:
        likewise.main(args=None if arguments is None else list(arguments), prog_name="likewise", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "likewise"
        # The choices for an argument that is missing are a list of lines, where we say one sentence.
        _complain(error.format_message().replace("\n\t", " "), f"see `{path} --help`")
        sys.exit(2)
    except click.ClickException as error:
        _complain(error.format_message(), "")
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(1)
    except LikewiseError as error:
        _refuse(error)
    except ModuleNotFoundError as error:
        _refuse(missing_extra(error))
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        _drop_stdout()
        sys.exit(1)
    except OSError as error:
        _complain(f"the output could not be written ({error.strerror})", "is there room where it goes?")
        _drop_stdout()
        sys.exit(1)
    except UnicodeError:
        _complain("an argument is no UTF-8", "names, ids and paths are text in UTF-8")
        sys.exit(2)
    sys.exit(0)


def _refuse(error: LikewiseError) -> NoReturn:
    _complain(str(error), error.hint if isinstance(error, Hinted) else "")
    sys.exit(2 if isinstance(error, BadSetting | BadName) else 1)


def _replace_closed_outputs() -> None:
    """Let a stdout that was closed before the start (`>&-`) refuse data, and let nobody miss a closed stderr.

    Python has None for either, and the next file that is opened would get its number.
    """
    for number, name, mode in ((1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, mode), number)
            setattr(sys, name, os.fdopen(number, "w", closefd=False))


def _drop_stdout() -> None:
    """Keep Python from complaining once more when it flushes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(sentence: str, hint: str) -> None:
    text = harmless(sentence.rstrip("."))
    click.echo(f"{click.style('error:', fg='red', bold=True)} {text}", err=True)
    if hint:
        click.echo(f"\n{click.style('hint:', fg='cyan', bold=True)} {harmless(hint)}", err=True)
