"""Text generation behind one seam: `base.Engine`. `open.open_engine` turns a path or an address into one."""
