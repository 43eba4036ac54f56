"""Work spread over processes, and kept once it is done."""
