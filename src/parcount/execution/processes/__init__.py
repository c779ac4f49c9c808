"""Worker processes: supervisor, worker, channels, serialisation and transports."""
