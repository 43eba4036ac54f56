"""What policies would have earned: committed at the gate, settled against realised prices."""
