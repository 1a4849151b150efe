"""What the tables and topics say, as plain documents for the command line and the web views."""
