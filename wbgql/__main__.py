"""`python -m wbgql` is the command `wbgql`."""

from wbgql.cli.entry import run

if __name__ == "__main__":
    run()
