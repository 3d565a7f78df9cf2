"""Jobs: the queue of long work, and the context of a request (priority, cancellation, timeout)."""
