"""Logical queries over knowledge graphs: algebra, exact answers, drawing, answering, the task."""
