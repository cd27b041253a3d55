"""The report: one HTML file that stands alone, in which results can be looked at without any program."""
