"""What each command asks for, and what it calls: parse, call, print."""
