"""Networks of one dataset tested on another, as they are and with the simplest remedies."""
