"""`python -m inference_server`: the `azmlinfsrv` command without its console script."""

from inference_server.cli import main

if __name__ == "__main__":
    main()
