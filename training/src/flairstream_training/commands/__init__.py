"""A module a command: add() declares it, run() does it. They import what is slow only when they run."""
