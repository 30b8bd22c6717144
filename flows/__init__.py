"""One Prefect flow a file, runnable as `python -m flows.NAME`."""
