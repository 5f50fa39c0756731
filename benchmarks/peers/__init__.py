"""Other ways to build the same thing, each small, fair and as durable as ours, measured side by side with ours."""
