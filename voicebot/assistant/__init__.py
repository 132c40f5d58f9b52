"""From settings to engines that can talk."""
