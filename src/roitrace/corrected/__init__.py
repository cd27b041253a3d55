"""Block sources that correct another one while it is read: frames moved, missing or left out."""
