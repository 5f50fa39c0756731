"""The `eventsourcing` library as it comes: a save per request, its own projection runner, no Kafka."""
