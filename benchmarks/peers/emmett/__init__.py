"""Emmett on PostgreSQL, in Node: a stream per purchase, and its consumer with an asynchronous projection."""
