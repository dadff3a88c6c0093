"""The circuit breaker: many visits, few opportunities, no more leads for a while."""
