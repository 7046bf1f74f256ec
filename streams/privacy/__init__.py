"""Erasing a person: the steps, what each place is asked, the certificate, and the trial that it is true."""
