"""What parent and child share: states, messages, the scoreboard, signals, clocks and forks."""
