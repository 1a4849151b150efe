"""What must survive: kills, damage, a full disk, no more files."""
