"""Proposals made to customers, and what the customers cared about in them."""
