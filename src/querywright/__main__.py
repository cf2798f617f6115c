"""`python -m querywright`."""

from querywright.cli import main

if __name__ == "__main__":
    main()
