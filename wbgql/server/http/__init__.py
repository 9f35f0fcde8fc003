"""HTTP: routes, bodies, limits of connections, the process that serves."""
