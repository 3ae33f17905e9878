"""The commands: each loaded when it is used, so that one costs no other its start, and none needs another's extra."""

from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from likewise.errors import BadName, BadSetting

COMMANDS = {
    "backup": ("likewise.cli.keeping", "backup"),
    "check": ("likewise.cli.keeping", "check"),
    "config": ("likewise.cli.config", "config"),
    "copy": ("likewise.cli.keeping", "copy"),
    "dev": ("likewise.cli.dev", "dev"),
    "export": ("likewise.cli.moving", "export"),
    "import": ("likewise.cli.moving", "import_"),
    "key": ("likewise.cli.keys", "key"),
    "library": ("likewise.cli.library", "library"),
    "list": ("likewise.cli.ratings", "list_"),
    "listener": ("likewise.cli.listeners", "listener"),
    "migrate": ("likewise.cli.migrate", "migrate"),
    "names": ("likewise.cli.names", "names"),
    "pull": ("likewise.cli.pull", "pull"),
    "push": ("likewise.cli.push", "push"),
    "rate": ("likewise.cli.ratings", "rate"),
    "restore": ("likewise.cli.keeping", "restore"),
    "serve": ("likewise.cli.serve", "serve"),
    "show": ("likewise.cli.ratings", "show"),
    "token": ("likewise.cli.tokens", "token"),
}
"""The module that has each command, and what it is called there."""

EXTRAS = {
    "apsw": "server",
    "asyncpg": "postgres",
    "granian": "server",
    "prometheus_client": "server",
    "uvloop": "server",
}
"""Which extra of the package brings a module."""


_SENTENCE_CHARACTERS_MAX = 1_000


class Group(click.Group):
    """A group that says the first sentence of each command whole, and guesses what a misspelled one was meant to be."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, each.get_short_help_str(_SENTENCE_CHARACTERS_MAX)) for name, each in commands.items() if each]
            )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            close = get_close_matches(args[0], self.list_commands(ctx), n=1)
            if close:
                raise BadName(f"there is no command {args[0]!r}", f"did you mean `{ctx.command_path} {close[0]}`?")
        return super().resolve_command(ctx, args)


class Commands(Group):
    """A group that knows its commands by name, and loads one when it is asked for it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*COMMANDS, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return super().get_command(ctx, name)
        module, attribute = COMMANDS[name]
        try:
            command: click.Command = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            return _command_without_its_extra(name, missing_extra(error))
        return command


def missing_extra(error: ModuleNotFoundError) -> BadSetting:
    """Say which extra brings the module that was not found; raise the error again where none does."""
    extra = EXTRAS.get((error.name or "").partition(".")[0])
    if extra is None:
        raise error
    return BadSetting(f"this command needs the extra likewise[{extra}]", f"install it: pip install 'likewise[{extra}]'")


def _command_without_its_extra(name: str, refusal: BadSetting) -> click.Command:
    """Stand in for a command that cannot be loaded, so that the others can be listed."""

    def refuse(arguments: Sequence[str]) -> None:  # noqa: ARG001 - whatever they are
        raise refusal

    anything: list[click.Parameter] = [click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)]
    settings: dict[str, Any] = {"ignore_unknown_options": True}
    return click.Command(
        name, callback=refuse, params=anything, help=f"({refusal})", context_settings=settings, add_help_option=False
    )
