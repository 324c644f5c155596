"""The console's pages, one module each with a function `add(console)`; the table of them is in `apps.monitor.web`."""
