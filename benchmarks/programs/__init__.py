"""What is measured: one small program per process, ours and those that we compare with."""
