"""What every room stands on: errors, files, stages, logs, provenance."""
