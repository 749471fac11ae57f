"""Commands that look at what there is to train: recipes, data."""

from __future__ import annotations

from typing import Annotated

import typer

from fewepochs import recipe as recipes
from fewepochs.api import probing
from fewepochs.cli import options, output

recipes_app = typer.Typer(help="List the shipped recipes, or show one.", invoke_without_command=True)
data_app = typer.Typer(help="Show which data sets are at hand, or download one.", invoke_without_command=True)


@recipes_app.callback()
def recipes_list(context: typer.Context, as_json: options.JsonOption = False) -> None:
    """List the shipped recipes."""
    if context.invoked_subcommand is not None:
        _belongs_behind(context, as_json=as_json)
        return
    shipped = [recipes.load(name) for name in recipes.shipped_names()]
    if as_json:
        output.print_json([{"name": r.name, "digest": recipes.digest(r), "summary": r.summary} for r in shipped])
        return
    width = max(len(recipe.name) for recipe in shipped) + 2
    for recipe in shipped:
        output.out(f"{recipe.name:<{width}}{recipe.summary}")


@recipes_app.command("show")
def recipes_show(name: options.RecipeArgument, as_json: options.JsonOption = False) -> None:
    """Print a recipe, comments included."""
    text = recipes.text(name)  # once: a pipe has nothing for a second reading
    recipe = recipes.parse(text, source=name)
    if as_json:
        output.print_json({"digest": recipes.digest(recipe), **recipe.model_dump(mode="json", exclude_none=True)})
    else:
        output.out(text.rstrip("\n"))


@recipes_app.command("schema")
def recipes_schema(as_json: options.JsonOption = False) -> None:
    """Print the JSON Schema of recipe files, for editors; it is JSON in any case."""
    del as_json
    output.print_json(recipes.json_schema())


@data_app.callback()
def data_list(context: typer.Context, data: options.DataOption = None, as_json: options.JsonOption = False) -> None:
    """Show which data sets are at hand and where they came from."""
    if context.invoked_subcommand is not None:
        _belongs_behind(context, as_json=as_json)
        return
    found = probing.available(data)
    if as_json:
        output.print_json(found)
        return
    for source in found:
        output.out(f"{source['kind']:<10}{source['form']:<28}{source['detail']:<36}{source['path']}")


@data_app.command("fetch")
def data_fetch(
    kind: Annotated[str, typer.Argument(help="cifar10 or cifar100")], as_json: options.JsonOption = False
) -> None:
    """Download a data set, after saying URL, size and SHA-256; what is there already is kept."""
    fetched = probing.fetch(kind, say=output.say)
    output.print_facts(fetched, as_json=as_json)


def _belongs_behind(context: typer.Context, *, as_json: bool) -> None:
    """Refuse an option before the subcommand that would do nothing there."""
    if as_json:
        command = f"{context.info_name} {context.invoked_subcommand}"
        raise options.usage("--json", "stands before the subcommand", "--json", f"fewepochs {command} ... --json")
