"""`python -m azureml_inference_server_http.amlserver`, as launch configurations name it."""

from inference_server.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
