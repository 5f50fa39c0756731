"""What operators see: logs, metrics, and the points where tests kill a process."""
