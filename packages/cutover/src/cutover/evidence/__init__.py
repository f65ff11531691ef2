"""What was seen: observations, outcomes, and how wire formats become them."""
