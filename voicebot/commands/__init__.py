"""The subcommands of `voicebot`, one module each."""
