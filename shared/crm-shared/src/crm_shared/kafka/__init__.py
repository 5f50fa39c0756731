"""Kafka: clients as Relata configures them."""

from crm_shared.kafka.cluster_watch import cluster_id
from crm_shared.kafka.connection import Kafka, Topic

__all__ = ["Kafka", "Topic", "cluster_id"]
