"""A plan to look at: its colours, its shapes, and a browser that shows them."""
