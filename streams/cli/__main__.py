"""`python -m streams.cli` is `undertone`."""

from streams.cli import main

if __name__ == "__main__":
    main()
