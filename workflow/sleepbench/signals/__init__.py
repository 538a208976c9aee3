"""From the bytes of a recording to its prepared epochs."""
