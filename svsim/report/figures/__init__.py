"""Figures: drawn by matplotlib, as SVG whose colours follow the page's light or dark."""
