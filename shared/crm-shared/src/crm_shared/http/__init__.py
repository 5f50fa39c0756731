"""The HTTP side of every service: requests in, answers and problem details out."""
