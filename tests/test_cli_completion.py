"""The shells' completion, and the help of every command."""

import subprocess
from pathlib import Path

import pytest

from rxalerts.cli import COMMANDS
from tests.support.run import COMMAND, rxalerts


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete -o"), ("zsh", "compdef"), ("fish", "complete --")])
def test_completion_is_printed(tmp_path: Path, shell: str, word: str) -> None:
    """What docs/cli.md has put into the shell's start file is a script for that shell."""
    done = rxalerts(folder=tmp_path, env={"_RXALERTS_COMPLETE": f"{shell}_source"})
    assert done.returncode == 0, done.stderr
    assert word in done.stdout.decode()
    assert "_RXALERTS_COMPLETE" in done.stdout.decode()


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    """The script is valid, and its answers are the names that begin so."""
    script = rxalerts(folder=tmp_path, env={"_RXALERTS_COMPLETE": "bash_source"}).stdout
    subprocess.run(["bash", "-n"], input=script, check=True, timeout=30)
    ask = {"_RXALERTS_COMPLETE": "bash_complete", "COMP_WORDS": "rxalerts re", "COMP_CWORD": "1"}
    assert rxalerts(folder=tmp_path, env=ask).stdout.decode().split() == ["plain,replay", "plain,report"]
    ask = {"_RXALERTS_COMPLETE": "bash_complete", "COMP_WORDS": "rxalerts replay --inter", "COMP_CWORD": "2"}
    assert b"--interactive" in rxalerts(folder=tmp_path, env=ask).stdout
    for words in ("rxalerts stats ", "rxalerts convert x --to ", "rxalerts run -c ", "rxalerts dead list -c "):
        ask = {"_RXALERTS_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        assert rxalerts(folder=tmp_path, env=ask).stdout.decode() == "file,\n"  # the shell's own business


def test_a_misspelt_command_completes_to_nothing(tmp_path: Path) -> None:
    """No traceback in the middle of the line."""
    ask = {"_RXALERTS_COMPLETE": "bash_complete", "COMP_WORDS": "rxalerts reppor x", "COMP_CWORD": "2"}
    done = rxalerts(folder=tmp_path, env=ask)
    assert b"Traceback" not in done.stderr


def test_every_command_explains_itself_with_an_example(tmp_path: Path) -> None:
    """`--help` of each command that looks at alerts has an example that names the command, on one line."""
    program = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from rxalerts.cli import COMMANDS, main\n"
        "below = {'dead': ('list', 'show', 'replay', 'purge'), 'spool': ('status',)}\n"
        "names = [*COMMANDS, *(f'{name} {one}' for name, several in below.items() for one in several)]\n"
        "for name in names:\n"
        "    result = CliRunner().invoke(main, [*name.split(), '--help'], terminal_width=80)\n"
        "    assert result.exit_code == 0, result.output\n"
        "    example = result.output.partition('Example')[2].partition('\\n')[0]\n"
        "    if f'rxalerts {name}' not in example:\n"
        "        sys.exit(f'{name} has no example')\n"
    )
    done = subprocess.run([COMMAND[0], "-c", program], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_page_names_every_command(root: Path) -> None:
    """docs/cli.md has a row for each."""
    page = (root / "docs" / "cli.md").read_text()
    assert [name for name in COMMANDS if f"| `rxalerts {name}" not in page] == []
