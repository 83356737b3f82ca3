"""The ground floor: database, clock, money, ids, errors, jobs, mail, languages, web. Knows no business word."""
