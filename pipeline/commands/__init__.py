"""The subcommands of run_pipeline.py, one file each."""
