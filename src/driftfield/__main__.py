"""`python -m driftfield` is `driftfield`."""

from driftfield.cli import main

if __name__ == "__main__":
    main()
