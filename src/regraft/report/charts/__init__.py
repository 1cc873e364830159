"""Charts as SVG, shared by the pages."""
