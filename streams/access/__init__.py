"""Who may see and do what in the dashboard: sign-in, sessions, roles by route, refused requests, audit events."""
