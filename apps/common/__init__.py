"""What the programs share: settings, logs, process handling, output and exit codes."""
