"""From a decision to what became of it, and back: grades, calibration, and the memory of situations like the present one."""
