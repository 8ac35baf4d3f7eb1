"""The commands are a shell over the API: they turn options into arguments and results into output."""

import ast
from pathlib import Path

CLI = Path(__file__).parents[2] / "vlmbench" / "cli"
ROOMS = {"api", "cli", "foundations"}


def imports(tree):
    """What a module imports of this package, wherever it does so, as dotted names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "vlmbench":
            yield from (f"{node.module}.{item.name}" for item in node.names)
        elif isinstance(node, ast.Import):
            yield from (item.name for item in node.names if item.name.startswith("vlmbench"))


def test_commands_import_the_api_and_nothing_beside_it():
    """``vlmbench`` itself is the API; its version is no room's."""
    found = {
        (str(path.relative_to(CLI)), name)
        for path in CLI.rglob("*.py")
        for name in imports(ast.parse(path.read_text("utf-8")))
        if name not in ("vlmbench", "vlmbench.__version__") and name.split(".")[1] not in ROOMS
    }
    assert found == set()


OF_EACH = {
    "--model": "one or several, encoders, backbones or captioners",
    "--dataset": "one or several, with classes, captions or images",
    "--shots": "labels per class of a probe, or examples before an image that is captioned",
    "--prompts": "of zero-shot itself, or of the line that a probe is held against",
    "--features-layer": "another default",
    "--figures": "drawn by default, or in a directory",
    "--columns": "of files that are read, or of tables that are shown",
    "--format": "of predictions, or of judgements",
    "--references": "files of captions, or also Flickr's",
    "--allow-missing": "images, or runs",
    "--resamples": "also swaps, or of whole images",
}
"""Options that are another thing in each command, with the difference; every other option is written once."""


def test_no_option_is_written_twice():
    calls = [
        (path, node)
        for path in CLI.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "option"
    ]
    texts = [[str(word.value) for word in node.args if isinstance(word, ast.Constant)] for _, node in calls]
    names = [word.split("/")[0] for words in texts for word in words if word.startswith("--")]
    assert len(names) > 60
    assert {name for name in names if names.count(name) > 1} == set(OF_EACH)


def test_every_command_has_its_function():
    """What a command does can be done from Python, by a name of the same words."""
    import vlmbench
    from vlmbench.cli.commands import COMMANDS

    names = {"caption-eval": ["score_captions", "score_captioners"], "run": ["run_plan"]}
    names["list"] = [name for name in vlmbench.__all__ if name.startswith("list_")]
    for command in COMMANDS:
        for name in names.get(command, [command.replace("-", "_")]):
            assert callable(getattr(vlmbench, name)), command
    assert len(names["list"]) == 6
