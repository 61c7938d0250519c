"""The post's experiment: its network, its statements, its riddles."""
