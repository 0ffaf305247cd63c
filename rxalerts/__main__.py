"""`python -m rxalerts`: the command, where it is not on the path."""

from rxalerts.cli import main

if __name__ == "__main__":
    main(prog_name="rxalerts")
