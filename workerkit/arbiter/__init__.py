"""The parent side: which processes there are (``table``), which there should be (``policy``), and making it so."""
