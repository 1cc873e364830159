"""What was measured, what follows from it, and the plan that says so."""
