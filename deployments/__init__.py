"""Everything that puts the flows into production. Run from a checkout; not part of the installed package."""
