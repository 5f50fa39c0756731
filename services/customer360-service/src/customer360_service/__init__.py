"""Shows the customer 360, the timeline and KPIs."""
