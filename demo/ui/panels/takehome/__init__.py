"""Take home: a reading as a script of its own, in a dialog that any place of the page opens."""
