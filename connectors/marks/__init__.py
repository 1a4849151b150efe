"""Sources of marks behind one interface: files of venues, data vendors and desks, and HTTP services that are polled."""
