"""What can be counted and defended: indicators with one definition each, as of any moment. Reads only."""
