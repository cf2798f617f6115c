"""Who may ask, and from where: logins, origins, headers, bodies."""
