"""Stand-ins for the remote systems, over real sockets, that can be told to fail."""
