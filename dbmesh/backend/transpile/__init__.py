"""What every data source that is not of MySQL's kind shares: MySQL's types, declarations, names and constants, read
without a word of the target's dialect."""
