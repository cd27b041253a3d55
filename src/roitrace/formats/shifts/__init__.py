"""What other programs found out about motion: shifts and bad frames per frame, read from their files."""
