"""The tables of the hand-written pipeline."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    purchase_id uuid NOT NULL UNIQUE,
    customer_id uuid NOT NULL,
    type text NOT NULL,
    data jsonb NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS outbox (
    id bigint PRIMARY KEY,
    customer_id uuid NOT NULL,
    payload text NOT NULL
);
"""
