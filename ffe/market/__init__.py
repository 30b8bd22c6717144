"""Instruments, timeframes, calendars, bars, indicators and the multi-timeframe pulse."""
