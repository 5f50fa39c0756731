"""Kafka: clients as Relata configures them."""

from crm_shared.kafka.connection import Kafka, Topic, cluster_id

__all__ = ["Kafka", "Topic", "cluster_id"]
