"""Share: a link and its QR code."""
