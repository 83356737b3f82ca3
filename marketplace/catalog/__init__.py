"""What can be learnt: courses, their runs and sessions, who provides them, and how they are found."""
