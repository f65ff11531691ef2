"""The web services that the runtime talks to, in their own wire shapes."""
