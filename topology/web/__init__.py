"""What a worker shows over HTTP: health, metrics, positions and trades."""
