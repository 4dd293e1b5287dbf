"""The report: one HTML file that shows all that lies in a folder of results."""

from svsim.report.page.page import PAGE, write_report

__all__ = ["PAGE", "write_report"]
