"""The run, top to bottom: measure, decide, execute, prove."""
