"""Every speed claim has its bench here. Machines are shared: quote medians and ratios."""
