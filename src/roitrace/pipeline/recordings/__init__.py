"""Many recordings in one job: which they are, where their results go, what is new, one table at the end."""
