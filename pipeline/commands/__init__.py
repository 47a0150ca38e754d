"""The subcommands of run_pipeline.py, a file each."""
