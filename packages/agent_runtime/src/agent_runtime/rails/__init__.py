"""The other systems this service talks to: GitHub, EigenAI, Ping, HOT."""
