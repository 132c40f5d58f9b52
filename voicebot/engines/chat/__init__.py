"""What chat models share: prompts, reasoning and function calls."""
