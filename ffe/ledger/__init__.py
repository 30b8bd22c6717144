"""Truth: SQLModel tables, migrations, reservations and the queries over them. The only place that writes it."""
