"""What the performance claims rest on: each benchmark compares Relata with a raw limit measured in the same run."""
