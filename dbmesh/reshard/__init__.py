"""Moving tables from one rule set to the next while they are read and written."""
