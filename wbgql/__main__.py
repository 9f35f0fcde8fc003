"""`python -m wbgql` is the command `wbgql`."""

from wbgql.cli.main import main

if __name__ == "__main__":
    main()
