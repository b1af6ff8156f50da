"""`python -m souk.cli` is `souk`."""

from souk.cli.main import main

if __name__ == "__main__":
    main()
