"""From numbers to pictures and pages: figures, the HTML report, the console."""
