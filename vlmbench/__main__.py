"""``python -m vlmbench``."""

from vlmbench.cli.app import main

if __name__ == "__main__":
    main()
