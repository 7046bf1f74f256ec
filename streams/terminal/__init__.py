"""What commands share with the terminal and the programs that start them: arguments, and Ctrl-C."""
