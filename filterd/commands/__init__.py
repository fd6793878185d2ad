"""The commands of `filterd`, a module for each group; they parse, call and print."""
