"""What actors decide: pure classes without threads, clocks or Pykka."""
