"""What a good team writes in a week: FastAPI, an outbox in PostgreSQL, a polling relay, FastStream and PyMongo."""

TOPIC = "purchases"
DATABASE = "handwritten"
