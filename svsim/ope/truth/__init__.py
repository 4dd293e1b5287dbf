"""What is true of policies, where it can be known, and what that says of estimates."""
